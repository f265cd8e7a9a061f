"""omruntime on Ray: named actors take the calls and run them."""

from __future__ import annotations

from omruntime import OmegaRuntime
from omruntime_ray.backend import RayBackend

__all__ = ["OmegaRuntimeRay"]


class OmegaRuntimeRay(OmegaRuntime):
    """A runtime on a Ray cluster, or on a Ray of its own where no address is given.

    Args:
        url: address of the cluster: ``ray://host:10001``, ``ray+gcs://host:6379``, or ``ray://auto`` on a node of it.
        workers: slots of each label set; with an address, what the cluster's pool has at the least.
        **options: as in `OmegaRuntime`.

    Raises:
        BackendUnavailable: no Ray answers at the address, or this process is part of another cluster.
        VersionMismatch: the cluster has another version of Ray or Python.
    """

    backend = RayBackend
