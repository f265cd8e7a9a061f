"""A scheduler that does not wait: ``dask scheduler --preload omruntime_dask.scheduler``, as a private one has it.

Dask's scheduler sends to each worker every 5 ms at the most, so that a call which follows another at once waits for
the rest of them. No setting of Dask's changes that. Others do without this module, and are as fast as Dask is.
"""

from __future__ import annotations

from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

__all__ = ["dask_setup"]

_INTERVAL = 0.001


class _Prompt(SchedulerPlugin):  # type: ignore[misc]
    """Has each worker be sent what there is after 1 ms."""

    def add_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        """Change the connection that has just been made."""
        scheduler.stream_comms[worker].interval = _INTERVAL


def dask_setup(scheduler: Scheduler) -> None:
    """Have the scheduler do so from now on; called by Dask."""
    scheduler.add_plugin(_Prompt(), name="omruntime")
