"""The workers of the tests of canvases: one of a test's own, or two for all of a module."""

from __future__ import annotations

from tests.worker.conftest import gate, om, shared

__all__ = ["gate", "om", "shared"]
