"""Which distributions an engine consists of, and their versions."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, version

from omruntime.plugins import installed_backends

__all__ = ["engine_versions"]

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def engine_versions(backend: str) -> dict[str, str]:
    """Return the version of the package that provides an engine, and of what that needs beside omruntime."""
    found: dict[str, str] = {}
    for entry in installed_backends().get(backend, []):
        if entry.dist is not None:
            found[entry.dist.name] = entry.dist.version
            if entry.dist.name != "omruntime":
                found |= _needed(entry.dist)
    return found


def _needed(distribution: Distribution) -> dict[str, str]:
    found = {}
    for requirement in distribution.requires or []:
        name, _, extra = requirement.partition(";")
        match = _NAME.match(name)
        if match is None or "extra" in extra or match.group().startswith("omruntime"):
            continue
        try:
            found[match.group()] = version(match.group())
        except PackageNotFoundError:
            continue
    return found
