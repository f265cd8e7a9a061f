"""An engine for omruntime: a directory is the queue, and worker processes watch it."""

from omruntime import OmegaRuntime
from omruntime_spool.backend import SpoolBackend


class OmegaRuntimeSpool(OmegaRuntime):
    """A runtime on a directory, ``spool:///directory``, or with a worker process of its own."""

    backend = SpoolBackend
