"""Dask's worker as a host: a task hands its call to the host of its process, and ends when that has it done."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask
import msgspec
from distributed import Reschedule, Worker
from distributed.utils import silence_logging_cmgr
from distributed.worker_state_machine import SecedeEvent

from omruntime.abc import WorkerHost, answer_of, unpack_answer
from omruntime.errors import BackendUnavailable
from omruntime.worker import Host
from omruntime_dask.foresight import Foresight
from omruntime_dask.names import resources_of
from omruntime_dask.reach import PATIENCE

if TYPE_CHECKING:
    from omruntime_dask.backend import DaskBackend

__all__ = ["Station", "cancel_here", "dask_setup", "dask_teardown", "leave", "station_at", "take", "work"]

_MANY = 10_000
_LOOK = 0.05
_LEAVE_LIMIT = 5.0
_LOOPBACK = "127.0.0.1"
_INTERVAL = 0.004
"""Seconds between two messages to the scheduler: ends of short tasks go together, as calls come together."""
# Dask samples what its worker does 100 times a second: it would see itself, since tasks run in other processes.
_SETTINGS = {"distributed.worker.profile.enabled": False}
_stations: dict[str, Station] = {}


@dataclass(slots=True)
class _Held:
    """A call without an answer for which Dask keeps a place."""

    answered: asyncio.Future[bytes]
    since: float
    waits: Future[bytes] | None = None


class Station:
    """A Dask worker and the host that does its work, in the worker's event loop.

    Args:
        worker: of Dask.
        host: what runs the calls.
        label: of the host.
        foresight: calls may be brought before their slots are free, since nobody else uses the worker.
    """

    def __init__(self, worker: Worker, host: WorkerHost, label: str, foresight: bool = False) -> None:
        self._worker, self._host, self._label = worker, host, label
        self._loop = asyncio.get_running_loop()
        self._held: dict[str, _Held] = {}
        self._answers: deque[tuple[asyncio.Future[bytes], bytes]] = deque()
        self._hands = ThreadPoolExecutor(1, "omruntime-dask-hands")
        self._foresight = Foresight(worker.state, self._loop, self._oldest, self._give_back) if foresight else None
        host.on_freed(self._freed)

    async def take(self, packed: bytes, key: str) -> None:
        """Hand a call to the host, and return when that has done with it.

        Raises:
            RuntimeError: it was refused; of a type that everybody has, with the name of our error and its text.
            Reschedule: it has to wait here, and is another worker's.
        """
        held = self._held[key] = _Held(self._loop.create_future(), time.monotonic())
        try:
            # In a thread, since a store may be slow, and the loop is what Dask's worker lives by.
            self._hands.submit(self._deliver, packed, key, held)
            done: Future[bytes] = Future()
            unpack_answer(await held.answered, done)
        finally:
            self._held.pop(key, None)
        if self._foresight is not None:
            self._foresight.note(time.monotonic() - held.since)
        if (refused := done.exception()) is not None:
            raise RuntimeError(type(refused).__name__, str(refused))

    def _deliver(self, packed: bytes, key: str, held: _Held) -> None:
        def answer(said: bytes) -> None:
            self._held.pop(key, None)
            self._answers.append((held.answered, said))
            if len(self._answers) == 1:
                self._soon(self._settle)

        try:
            held.waits = self._host.deliver(packed, answer)
        except Exception as exc:  # noqa: BLE001  (the cluster's task ends with it)
            answer(answer_of(exc))
        if len(self._held) > self._worker.state.nthreads:
            # It was on its way here when others were given back.
            self._soon(self._give_back)

    def _settle(self) -> None:
        """End the tasks whose calls have their answers: one waking of the loop does for all of a moment."""
        while self._answers:
            answered, said = self._answers[0]
            if not answered.done():
                answered.set_result(said)
            self._answers.popleft()

    def _oldest(self) -> float | None:
        """Return since when, in monotonic seconds, the oldest call is here that has no answer."""
        return min((held.since for held in list(self._held.values())), default=None)

    def _give_back(self) -> None:
        """Have those calls go to other workers that wait here for a slot."""
        for key, held in list(self._held.items()):
            if held.waits is not None and self._host.give_back(held.waits):
                self._held.pop(key, None)
                if not held.answered.done():
                    held.answered.set_exception(Reschedule())

    def cancel(self, task: str) -> None:
        """Stop a task that the ledger has ended, if it runs here."""
        if isinstance(self._host, Host):
            self._host.cancel(task)

    def _freed(self) -> None:
        if self._is_full():
            self._soon(self._make_room)

    def _is_full(self) -> bool:
        return not self._host.tied and len(self._held) >= self._worker.state.nthreads

    def _soon(self, act: Callable[[], object]) -> None:
        """Do something in the worker's event loop; nothing where that has ended, and its tasks with it."""
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            return

    def close(self) -> None:
        """Let go of the host, which goes on."""
        self._host.on_freed(lambda: None)
        self._hands.shutdown(wait=False)
        if self._foresight is not None:
            self._foresight.close()

    def _make_room(self) -> None:
        """Let go of the places of tasks that wait for others: their slots have room for another one."""
        while self._is_full() and self._host.room(self._label):
            # Other threads take out of it what has its answer.
            key, held = next(iter(list(self._held.items())), ("", None))
            if held is None or self._held.pop(key, None) is None:
                continue
            seconds = time.monotonic() - held.since
            self._worker.handle_stimulus(
                SecedeEvent(key=key, compute_duration=seconds, stimulus_id=f"secede-{time.time()}")
            )


async def take(packed: bytes, key: str) -> None:
    """Have the host of this worker run a call (the task that Dask knows)."""
    from distributed import get_worker

    worker = get_worker()
    station = _stations.get(worker.address)
    if station is None:
        raise RuntimeError(
            BackendUnavailable.__name__,
            f"the Dask worker {worker.name} offers labels of omruntime and is none of its workers; start it with "
            "--preload omruntime_dask.worker, or without the resource 'label:...'",
        )
    await station.take(packed, key)


def cancel_here(task: str, dask_worker: Worker) -> None:
    """Stop a task that the ledger has ended, if this worker runs it."""
    station = _stations.get(dask_worker.address)
    if station is not None:
        station.cancel(task)


def work(backend: DaskBackend, host: WorkerHost, stop: threading.Event) -> None:
    """Be a Dask worker in this process until ``stop`` is set.

    Raises:
        BackendUnavailable: the scheduler is gone.
    """
    with (
        tempfile.TemporaryDirectory(prefix="omruntime-dask-") as place,
        dask.config.set(_SETTINGS),
        # Not the worker's own option: that ends with the worker, and its connections log their ends after it.
        silence_logging_cmgr(logging.ERROR),
    ):
        asyncio.run(_work(backend, host, stop, place))
    if not stop.is_set():
        raise BackendUnavailable(f"the scheduler at {backend.address} is gone")


def station_at(worker: Worker, station: Station | None) -> Station | None:
    """Note which station a Dask worker in this process has, None for none any more; return the one that it had."""
    before = _stations.pop(worker.address, None)
    if station is not None:
        _stations[worker.address] = station
    return before


async def _work(backend: DaskBackend, host: Any, stop: threading.Event, place: str) -> None:
    labels = sorted({label for worker in host.workers() for label in worker.labels})
    slots = len(host.workers())
    backend.connection.check()

    worker = Worker(
        backend.connection.address,
        nthreads=_MANY if host.tied else slots,
        name=f"omruntime-{os.getpid()}-{host.id[-4:]}",
        host=_LOOPBACK if _is_here(backend.connection.address) else None,
        resources=None if host.tied else resources_of(labels),
        metrics={"omruntime": lambda worker: msgspec.to_builtins(list(backend.announced))},
        security=backend.connection.security,
        local_directory=place,
        memory_limit=0,
        dashboard=False,
        death_timeout=PATIENCE,
    )
    try:
        await worker
    except (OSError, RuntimeError, TimeoutError) as exc:
        raise BackendUnavailable(
            f"the scheduler at {backend.address} takes no worker: {exc.__cause__ or exc}"
        ) from exc
    async with worker:
        loop = asyncio.get_running_loop()
        worker.batched_stream.interval = _INTERVAL
        station = Station(worker, host, ",".join(labels), foresight=not host.tied)
        station_at(worker, station)
        backend.on_announced = lambda: asyncio.run_coroutine_threadsafe(worker.heartbeat(), loop)
        await worker.heartbeat()
        await _until(lambda: stop.is_set() or worker.status.name not in ("running", "paused"))
        backend.on_announced = None
        station.close()
        await leave(worker)
        station_at(worker, None)


async def leave(worker: Worker) -> None:
    """Have the scheduler give what this worker has not begun to others, and hold nothing against those tasks."""
    if worker.batched_stream.closed():
        return
    try:
        await asyncio.wait_for(
            worker.scheduler.unregister(
                address=worker.contact_address, expected=True, close=False, stimulus_id=f"leave-{time.time()}"
            ),
            _LEAVE_LIMIT,
        )
    except (OSError, TimeoutError):
        # It is gone itself.
        return


def _is_here(address: str) -> bool:
    """Tell whether only this machine reaches a scheduler; who reaches its workers can run code on them."""
    return address.partition("://")[2].startswith(f"{_LOOPBACK}:")


async def _until(over: Callable[[], bool]) -> None:
    """Wait until something holds that no event tells: a flag of another thread, the state of Dask's worker."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def look() -> None:
        if over():
            ended.set()
        else:
            loop.call_later(_LOOK, look)

    look()
    await ended.wait()


async def dask_setup(worker: Worker) -> None:
    """Make a worker of Dask's own command a host: ``dask worker ... --preload omruntime_dask.worker``."""
    from omruntime_dask.preload import join

    await join(worker)


async def dask_teardown(worker: Worker) -> None:
    """Let it go again, when its tasks are over."""
    from omruntime_dask.preload import part

    await part(worker)
