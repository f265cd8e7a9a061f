"""The engine: calls go to named actors of a Ray cluster, which are the hosts."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Self
from uuid import uuid4

import msgspec

from omruntime.abc import Answers, Backend, Call, Capability, WorkerHost, WorkerInfo, answer_of
from omruntime.auth import Auth
from omruntime.ledger import lease_period
from omruntime.masking import mask
from omruntime_ray.carried import Entry
from omruntime_ray.connection import is_the_users, join, leave
from omruntime_ray.errors import ERRORS
from omruntime_ray.mailbox import Mailbox
from omruntime_ray.names import Place, place_of
from omruntime_ray.network import Network
from omruntime_ray.private import JoinedPool, KeptPool, PrivatePool
from omruntime_ray.station import LOOK_INTO_THE_LEDGER
from omruntime_ray.working import Fetching

__all__ = ["RayBackend"]

_opened: weakref.WeakSet[RayBackend] = weakref.WeakSet()


def _close_opened() -> None:
    """Leave all clusters, and wait for the tasks of private engines, as an Executor does; an interrupt stops waiting.

    Whoever calls an actor later than Ray's own end has Ray start a cluster.
    """
    for backend in list(_opened):
        try:
            backend.close()
        except KeyboardInterrupt:
            backend.close_now()


# Ray has registered its own end when it was imported, and what is registered later is called before.
atexit.register(_close_opened)


class RayBackend(Backend):
    """Sends calls to the hosts in a Ray cluster's actors.

    Attributes:
        station: name of the actor that this process is, empty in all others.
        door: where processes of this machine reach that without Ray.
        on_end: called when the pool that this actor belongs to ends.
    """

    name = "ray"
    schemes = ("ray", "ray+gcs")
    capabilities = frozenset(Capability)
    errors = ERRORS

    def __init__(
        self, place: Place, workers: Mapping[str, int] | None, env: Mapping[str, str] | None, auth: Auth
    ) -> None:
        self.mailbox = f"omruntime-{uuid4().hex}"
        self.station = self.door = ""
        self.on_end: Callable[[], None] = lambda: None
        self._env = dict(env or {})
        self._answers = Answers()
        self._closing = threading.Lock()
        self._closed = False
        self._announced: Sequence[WorkerInfo] = ()
        self._fetching: Fetching | None = None
        self._is_part = not place.is_private or is_the_users()
        """This process is part of the cluster."""
        if self._is_part:
            join(place)
        try:
            self._pool: Network | PrivatePool = self._open(place, workers, auth)
        except BaseException:
            self._leave()
            raise
        self.address, self.lease = self._pool.address, self._pool.lease
        if self.lease:
            self.capabilities = self.capabilities - {Capability.DETACHED}
        _opened.add(self)

    def _open(self, place: Place, workers: Mapping[str, int] | None, auth: Auth) -> Network | PrivatePool:
        mailbox = Mailbox(self.mailbox, self._answers.give, self._lost)
        if place.is_private:
            kind = JoinedPool if self._is_part else KeptPool
            return kind(workers, self._env, auth, mailbox)
        network = Network(place, mailbox)
        if workers:
            try:
                network.scale(workers, self._env)
            except BaseException:
                network.close(wait=False)
                raise
        return network

    @classmethod
    def open(
        cls,
        url: str,
        *,
        workers: Mapping[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Self:
        """Join a cluster, or start a Ray of this process' own."""
        auth = options.pop("auth", None)
        if options:
            raise TypeError(f"{mask(url)} takes no {', '.join(options)}; Ray's own are given to ray.init(), before")
        return cls(place_of(url), workers, env, auth)

    def _lost(self, ids: Sequence[str], error: BaseException) -> None:
        for id in ids:
            self._answers.give(id, LOOK_INTO_THE_LEDGER)

    # -- calls ---------------------------------------------------------------------------------------------------

    def submit(self, call: Call) -> Future[bytes]:
        """Send a call to an actor of its labels."""
        return self.submit_many([call])[0]

    def submit_many(self, calls: Sequence[Call]) -> list[Future[bytes]]:
        """Send many calls in one message."""
        futures = [self._answers.expect(call.id) for call in calls]
        try:
            self._pool.send(calls)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return futures

    def submit_canvas(self, id: str, calls: Sequence[Call]) -> Future[bytes] | None:
        """Send the first steps; the host that ends the canvas tells this process so."""
        future = self._answers.expect(id)
        try:
            self._pool.await_canvas(id)
            self._pool.send(calls)
        except BaseException:
            future.cancel()
            raise
        return future

    def forward(self, call: Call) -> None:
        """Send a call whose answer nobody waits for here."""
        self._pool.forward(call)

    def tell(self, mailbox: str, id: str, outcome: bytes) -> None:
        """Tell the process that has submitted a canvas how that has ended."""
        if isinstance(self._pool, Network):
            self._pool.post(mailbox, id, answer_of(outcome))

    def expect_store(self, url: str) -> None:
        """Have the host of a private engine take its lease in a store."""
        self._pool.expect_store(url)

    def cancel(self, id: str) -> bool:
        """Tell the hosts that a task is cancelled; the one that runs it stops it."""
        self._pool.cancel(id)
        return True

    def queued(self, label: str) -> int | None:
        """Return how many calls wait where no single host has them."""
        return self._pool.queued(label)

    # -- workers -------------------------------------------------------------------------------------------------

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have as many slots of each label set as it says."""
        self._pool.scale(workers, self._env)

    def workers(self) -> list[WorkerInfo]:
        """List the slots of all hosts."""
        return self._pool.workers()

    def announce(self, workers: Sequence[WorkerInfo]) -> None:
        """Have the others learn who works in this process, once it takes calls."""
        self._announced = tuple(workers)
        if self._fetching is not None:
            self.say_who_works()

    def say_who_works(self) -> None:
        """Say who works in this process."""
        if isinstance(self._pool, Network):
            self._pool.announce(self.mailbox, self._entry(self._announced))

    def say_that_none_works(self) -> None:
        """Say that this process takes nothing any more."""
        if isinstance(self._pool, Network):
            self._pool.announce(self.mailbox, self._entry(()))

    def _entry(self, workers: Sequence[WorkerInfo]) -> Entry:
        return Entry(
            station=self.station,
            door=self.door,
            labels=sorted({",".join(worker.labels) for worker in workers}),
            workers=msgspec.to_builtins(list(workers)),
            period=lease_period(),
            pooled=bool(self.station),
        )

    def work(self, host: WorkerHost, stop: threading.Event) -> None:
        """Hand the calls that come to the office to a host in this process."""
        assert isinstance(self._pool, Network)
        self._pool.news.keeps_pool, self._pool.news.founds = False, not self.station
        self._fetching = Fetching(self, self._pool, host, stop)
        try:
            self._fetching.run()
        finally:
            self._fetching = None

    def has_taken(self) -> None:
        """Note that the host in this process was given a call by others than the office."""
        if self._fetching is not None:
            self._fetching.wake()

    @property
    def announced(self) -> Sequence[WorkerInfo]:
        """Who works in this process."""
        return self._announced

    def incarnation(self) -> str:
        """Name the present life of the office, and of the hosts that it knows."""
        return self._pool.life

    def close(self) -> None:
        """Leave the cluster; a Ray of our own ends, when open tasks are over."""
        self._end(wait=True)

    def close_now(self) -> None:
        """Leave the cluster; a Ray of our own ends at once."""
        self._end(wait=False)

    def _end(self, wait: bool) -> None:
        with self._closing:
            if self._closed:
                return
            self._closed = True
        try:
            self._pool.close(wait)
        finally:
            self._answers.close()
            self._leave()

    def _leave(self) -> None:
        if self._is_part:
            leave()
