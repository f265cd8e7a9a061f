"""The runtime of the embedded engine."""

from __future__ import annotations

from omruntime.client.runtime import OmegaRuntime
from omruntime.local.backend import LocalBackend

__all__ = ["OmegaRuntimeLocal"]


class OmegaRuntimeLocal(OmegaRuntime):
    """Local workers: child processes of this one, which end with it."""

    backend = LocalBackend
