"""What a host's process does: fetch calls at the office when there is room, and follow its orders."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import ray

from omruntime.abc import WorkerHost
from omruntime.errors import BackendUnavailable, OmegaRuntimeError
from omruntime.ledger import lease_period
from omruntime.worker import Host
from omruntime_ray.carried import Errand, Room

if TYPE_CHECKING:
    from omruntime_ray.backend import RayBackend
    from omruntime_ray.network import Network

__all__ = ["Fetching"]

_log = logging.getLogger("omruntime.worker")
_LIMIT = 0.5
"""Seconds that a question to the office is open, before it is asked again."""
_TRIES = 20


class Fetching:
    """One host at the office, until ``stop`` is set.

    Args:
        backend: the engine, open in this process.
        network: its actors.
        host: gets the calls.
        stop: ends it.
    """

    def __init__(self, backend: RayBackend, network: Network, host: WorkerHost, stop: threading.Event) -> None:
        self._backend, self._network, self._host, self._stop = backend, network, host, stop
        self._events: SimpleQueue[Future[Errand] | None] = SimpleQueue()
        self._limit = min(_LIMIT, lease_period() / 3)
        self._asked: Any = None
        self._eager, self._woken = False, False
        self._taken = self._failed = 0

    def wake(self) -> None:
        """Have the room counted again, if anybody wants to know it."""
        if self._eager and not self._woken:
            self._woken = True
            self._events.put(None)

    def run(self) -> None:
        """Fetch calls.

        Raises:
            BackendUnavailable: the office has not answered for long.
        """
        self._host.on_freed(self.wake)
        self._backend.say_who_works()
        self._ask()
        while not self._stop.is_set():
            try:
                event = self._events.get(timeout=self._limit)
            except Empty:
                # Something is heard of this host, though it has no room.
                self._ask()
                continue
            if event is None:
                self._woken = False
                self._ask()
            else:
                self._hear(event)
        self._host.on_freed(lambda: None)
        self._backend.say_that_none_works()

    def _ask(self) -> None:
        self._asked = self._network.fetch(self._backend.mailbox, self._room(), self._limit)
        self._asked.add_done_callback(self._events.put)

    def _hear(self, heard: Future[Errand]) -> None:
        try:
            errand = heard.result()
        except ray.exceptions.RayError as exc:
            self._failed += 1
            if self._failed >= _TRIES:
                raise BackendUnavailable(f"the office at {self._backend.address} is gone: {exc}") from exc
            self._stop.wait(_LIMIT / 2)
            self._ask()
            return
        self._failed = 0
        self._follow(errand)
        waits = errand["eager"] and not any(self._room()["rooms"].values())
        if heard is self._asked and not waits:
            self._ask()

    def _room(self) -> Room:
        workers = self._backend.announced
        rooms = {labels: self._host.room(labels) for labels in {",".join(worker.labels) for worker in workers}}
        busy = any(
            room < sum(1 for worker in workers if set(labels.split(",")) <= set(worker.labels))
            for labels, room in rooms.items()
        )
        return Room(taken=self._taken, rooms=rooms, busy=busy)

    def _follow(self, errand: Errand) -> None:
        if not errand["known"]:
            self._taken = 0
            self._backend.say_who_works()
        self._eager = errand["eager"]
        self._taken += len(errand["calls"])
        for call in errand["calls"]:
            self._host.deliver(call.packed, partial(self._network.answer, call.id))
        for task in errand["cancel"]:
            if isinstance(self._host, Host):
                self._host.cancel(task)
        for store in errand["stores"]:
            self._look_after(store)
        if errand["end"]:
            self._backend.on_end()

    def _look_after(self, store: str) -> None:
        try:
            if isinstance(self._host, Host):
                self._host.look_after(store)
        except OmegaRuntimeError as exc:
            # It may be that of another machine; a call that names it says so to whoever has sent it.
            _log.info("the store at %s cannot be looked after here: %s", store, exc)
