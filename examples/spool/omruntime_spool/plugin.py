"""What the entry point names: the version of the interface, and the backend, imported when it is asked for."""

from __future__ import annotations

from omruntime.plugins import hookimpl

__all__ = ["api_version", "omruntime_backend"]

api_version = 1


@hookimpl
def omruntime_backend() -> object:
    """Return the Backend class."""
    from omruntime_spool import OmegaRuntimeSpool
    from omruntime_spool.backend import SpoolBackend

    return SpoolBackend
