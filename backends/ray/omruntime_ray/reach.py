"""How long is waited for Ray, and how much may wait in an actor."""

from __future__ import annotations

__all__ = ["ANSWER_LIMIT", "CONCURRENCY", "START_LIMIT"]

CONCURRENCY = 1_000_000
"""Calls that wait in an actor take nothing but memory."""
ANSWER_LIMIT = 10.0
"""Seconds within which an actor that lives answers."""
START_LIMIT = 120.0
"""Seconds that Ray may take to start an actor, where many start at a time."""
