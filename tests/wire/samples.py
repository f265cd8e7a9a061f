"""Envelopes to look at."""

from __future__ import annotations

from omruntime.auth import Auth
from omruntime.wire import PYTHON, WIRE, CallHeader, Part, seal
from omruntime.wire.envelope import digest_of

__all__ = ["AUTH", "call_envelope", "call_header"]

AUTH = Auth("ann", "a-secret-of-the-tests")


def call_header(parts: list[Part], *, wire: int = WIRE, python: str = PYTHON) -> CallHeader:
    return CallHeader(
        wire=wire,
        python=python,
        id="t1",
        store_id="s1",
        store_url="sqlite:////somewhere",
        bucket="default",
        kind="model",
        name="clf",
        action="fit",
        label="default",
        user="ann",
        submitted=1.0,
        parts=parts,
    )


def call_envelope(buffers: list[bytes]) -> list[bytes]:
    parts = [Part(digest_of(buffer), len(buffer)) for buffer in buffers]
    return [seal(call_header(parts), AUTH), *buffers]
