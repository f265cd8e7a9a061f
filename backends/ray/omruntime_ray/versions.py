"""Whether the actors of a namespace and this process understand each other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from omruntime.errors import VersionMismatch

__all__ = ["SPEAKS", "check_speaks", "release"]

SPEAKS = 1
"""Number of the present form of what goes between clients, office and hosts; calls have a version of their own."""


@cache
def release() -> str:
    """Return the release of this package that is installed here."""
    return version("omruntime-ray")


def check_speaks(known: Mapping[str, Any], namespace: str) -> None:
    """Return if what an office has said is of this form.

    Raises:
        VersionMismatch: it is of another one; the message has both releases.
    """
    if known.get("speaks") != SPEAKS:
        raise VersionMismatch(
            f"the actors in Ray's namespace {namespace!r} are of omruntime-ray {known.get('release', '(unknown)')}, "
            f"and do not understand the {release()} of this process; have one release on both sides (the other one "
            f"ends its actors by scale() to 0), or use another namespace, like ray://host:10001/{namespace}-new"
        )
