"""Nannies that let their worker finish: ``dask worker ... --preload-nanny omruntime_dask.nanny``.

A nanny that is told to end kills its worker 8 seconds later, whatever that is doing; with this it waits.
"""

from __future__ import annotations

from distributed import Nanny

__all__ = ["dask_teardown"]

_PATIENCE = 10 * 365 * 24 * 3600.0
"""Seconds for Dask, which wants a number; whoever ends nannies has a limit of his own, and kills both after it."""


async def dask_teardown(nanny: Nanny) -> None:
    """Have the worker end, when the tasks that it runs are over."""
    await nanny.kill(timeout=_PATIENCE, reason="omruntime-finishes")
