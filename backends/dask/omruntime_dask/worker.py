"""Dask's worker as a host: a task hands its call to the host of its process, and ends when that has it done."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
from distributed import Worker
from distributed.worker_state_machine import SecedeEvent

from omruntime.abc import WorkerHost
from omruntime.abc.carrying import _answers
from omruntime.errors import BackendUnavailable
from omruntime_dask.names import resources_of

if TYPE_CHECKING:
    from omruntime_dask.backend import DaskBackend

__all__ = ["cancel_here", "take", "work"]

_MANY = 10_000
_LOOK = 0.05
_stations: dict[str, Station] = {}


class Station:
    """A Dask worker and the host that does its work, in the worker's event loop."""

    def __init__(self, worker: Worker, host: WorkerHost, label: str) -> None:
        self._worker, self._host, self._label = worker, host, label
        self._loop = asyncio.get_running_loop()
        self._keys: dict[str, float] = {}
        host.on_freed(self._freed)

    async def take(self, packed: bytes, key: str) -> None:
        answered: asyncio.Future[bytes] = self._loop.create_future()

        def answer(said: bytes) -> None:
            self._loop.call_soon_threadsafe(lambda: answered.done() or answered.set_result(said))

        self._keys[key] = time.time()
        try:
            self._host.deliver(packed, answer)
            _, kind, message = _answers.decode(await answered)
        finally:
            self._keys.pop(key, None)
        if kind:
            raise RuntimeError(kind, message)

    def _freed(self) -> None:
        self._loop.call_soon_threadsafe(self._make_room)

    def _make_room(self) -> None:
        """Let go of the place of a task that waits for others: its slot has room for another one."""
        if self._host.tied or len(self._worker.state.executing) < self._worker.state.nthreads:
            return
        if self._keys and self._host.room(self._label):
            key, since = next(iter(self._keys.items()))
            del self._keys[key]
            self._worker.handle_stimulus(
                SecedeEvent(key=key, compute_duration=time.time() - since, stimulus_id=f"secede-{time.time()}")
            )


async def take(packed: bytes, key: str) -> None:
    """Have the host of this worker run a call (the task that Dask knows)."""
    from distributed import get_worker

    worker = get_worker()
    station = _stations[worker.address]
    await station.take(packed, key)


def cancel_here(task: str, dask_worker: Worker) -> None:
    """Stop a task that the ledger has ended, if this worker runs it."""
    station = _stations.get(dask_worker.address)
    if station is not None:
        station._host.cancel(task)


def work(backend: DaskBackend, host: WorkerHost, stop: threading.Event) -> None:
    """Be a Dask worker in this process until ``stop`` is set.

    Raises:
        BackendUnavailable: the scheduler is gone.
    """
    asyncio.run(_work(backend, host, stop))
    if not stop.is_set():
        raise BackendUnavailable(f"the scheduler at {backend.address} is gone")


async def _work(backend: DaskBackend, host: Any, stop: threading.Event) -> None:
    labels = sorted({label for worker in host.workers() for label in worker.labels})
    slots = len(host.workers())

    async def told(worker: Worker) -> Any:
        return msgspec.to_builtins(list(backend.announced))

    worker = Worker(
        backend.client.scheduler.address,
        nthreads=_MANY if host.tied else slots,
        name=f"omruntime-{os.getpid()}-{host.id[-4:]}",
        resources=None if host.tied else resources_of(labels),
        metrics={"omruntime": lambda worker: msgspec.to_builtins(list(backend.announced))},
        memory_limit=0,
        dashboard=False,
        silence_logs=40,
    )
    async with worker:
        loop = asyncio.get_running_loop()
        _stations[worker.address] = Station(worker, host, ",".join(labels))
        backend.on_announced = lambda: asyncio.run_coroutine_threadsafe(worker.heartbeat(), loop)
        await worker.heartbeat()
        while not stop.is_set() and worker.status.name in ("running", "paused"):
            await asyncio.sleep(_LOOK)
        backend.on_announced = None
        _stations.pop(worker.address, None)
