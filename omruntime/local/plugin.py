"""The entry point of the embedded engine, registered like any other."""

from __future__ import annotations

from omruntime.abc import Backend
from omruntime.plugins import hookimpl

__all__ = ["api_version", "omruntime_backend"]

api_version = 1


@hookimpl
def omruntime_backend() -> type[Backend]:
    """Return the Backend class."""
    from omruntime.local.backend import LocalBackend
    from omruntime.local.runtime import OmegaRuntimeLocal  # noqa: F401  (so that a URL gives this class)

    return LocalBackend
