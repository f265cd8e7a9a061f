"""What the entry point names: the version of the interface, and the backend, imported when it is asked for."""

from __future__ import annotations

from omruntime.abc import Backend
from omruntime.plugins import hookimpl

__all__ = ["api_version", "omruntime_backend"]

api_version = 1


@hookimpl
def omruntime_backend() -> type[Backend]:
    """Return the Backend class."""
    from omruntime_ray import OmegaRuntimeRay  # noqa: F401  (so that a URL gives this class)
    from omruntime_ray.backend import RayBackend

    return RayBackend
