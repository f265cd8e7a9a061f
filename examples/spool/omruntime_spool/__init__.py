"""An engine for omruntime: a directory is the queue, and worker processes watch it."""

from omruntime import OmegaRuntime
from omruntime_spool.backend import SpoolBackend

__all__ = ["OmegaRuntimeSpool"]


class OmegaRuntimeSpool(OmegaRuntime):
    """A runtime on a directory, ``spool:///directory``, or with workers of its own."""

    backend = SpoolBackend
