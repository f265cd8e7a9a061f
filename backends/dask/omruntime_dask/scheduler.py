"""A scheduler that neither waits nor grows: ``dask scheduler --preload omruntime_dask.scheduler``, as private ones.

Dask's scheduler sends to each worker every 5 ms at the most, so that a call which follows another at once waits for
the rest of them. And it keeps a span, with statistics, of each time in which it had something to do. No setting of
Dask's changes that. Others do without this module, and are what Dask is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.spans import SpansSchedulerExtension

from omruntime_dask.names import is_key

__all__ = ["dask_setup"]

_INTERVAL = 0.001
_LOGGED = 10


class _Prompt(SchedulerPlugin):  # type: ignore[misc]
    """Has each worker be sent what there is after 1 ms."""

    def add_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        """Change the connection that has just been made."""
        line = scheduler.stream_comms[worker]
        line.interval = _INTERVAL
        # It keeps the last 1,000 messages, each with the arguments of many calls.
        line.recent_message_log = deque(maxlen=_LOGGED)


class _Spans(SpansSchedulerExtension):  # type: ignore[misc]
    """Keeps spans of the tasks of others, and none of ours."""

    def observe_tasks(self, tss: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        """Pass ours by."""
        return super().observe_tasks([task for task in tss if not is_key(task.key)], *args, **kwargs)

    def heartbeat(self, ws: Any, data: Mapping[tuple[Any, ...], float]) -> None:
        """Take what workers tell of tasks that have a span."""
        super().heartbeat(ws, {metric: value for metric, value in data.items() if metric[1] is not None})


def dask_setup(scheduler: Scheduler) -> None:
    """Have the scheduler do so from now on; called by Dask."""
    scheduler.add_plugin(_Prompt(), name="omruntime")
    scheduler.extensions["spans"] = _Spans(scheduler)
