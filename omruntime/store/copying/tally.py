"""How far a copy is, and what it has found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Tally", "few"]

_FEW = 5


@dataclass(slots=True)
class Tally:
    """What a copy has done until now; another thread may look at it at any time."""

    stage: str = "looking"
    """What it is at, for people."""
    total: int = 0
    """Bytes that there are to be brought; 0 while that is not known."""
    done: int = 0
    """Bytes of them that are in the target."""
    objects: int = 0
    """Objects that the target has now as the source has them."""
    tasks: int = 0
    """Tasks that are over, likewise."""
    blobs: int = 0
    """Blobs sent."""
    bytes: int = 0
    """Bytes of blobs sent."""
    kept: int = 0
    """Blobs that the target had already, verified by their digests."""
    changed: list[str] = field(default_factory=list)
    """What has changed while it was copied, and was copied once more."""
    unsettled: list[str] = field(default_factory=list)
    """What has changed even in the last look at it."""
    left: list[str] = field(default_factory=list)
    """Tasks that are not over, and so are not in the copy."""
    lost: dict[str, str] = field(default_factory=dict)
    """What has no whole content in the source, or is more than the target takes; and what is wrong with it."""


def few(names: Iterable[str]) -> str:
    """Return the first few names as a message shows them, and how many more there are."""
    listed = list(names)
    more = len(listed) - _FEW
    return ", ".join(listed[:_FEW]) + (f" and {more} more" if more > 0 else "")
