"""The engine: calls are tasks of a Dask cluster, and its worker processes are the hosts."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Self
from uuid import uuid4

import msgspec
from distributed import Future as Task

from omruntime.abc import Answers, Backend, Call, Capability, WorkerHost, WorkerInfo, answer_of
from omruntime.masking import mask
from omruntime_dask.connection import Connection
from omruntime_dask.errors import ERRORS, why_refused
from omruntime_dask.names import address_of, resources_for, shown
from omruntime_dask.private import private_scheduler, private_security
from omruntime_dask.reach import PATIENCE
from omruntime_dask.sending import Sending
from omruntime_dask.worker import cancel_here

__all__ = ["DaskBackend"]

_LIFE_HOLDS = 1.0


class DaskBackend(Backend):
    """Sends calls as tasks to the hosts in a Dask cluster's workers."""

    name = "dask"
    schemes = ("dask", "tcp", "tls", "http")
    capabilities = frozenset(Capability)
    errors = ERRORS

    def __init__(self, connection: Connection, private: bool) -> None:
        self.connection = connection
        self.address, self.is_private = shown(connection.address), private
        self._answers = Answers()
        self._sending = Sending(connection, lambda label: None if private else resources_for(label))
        self._listens: object = None
        self.mailbox = f"omruntime-{uuid4().hex}"
        self._life, self._life_seen = "", float("-inf")
        self.announced: Sequence[WorkerInfo] = ()
        self.on_announced: Any = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def client(self) -> Any:
        """The Dask client; raises BackendUnavailable where it has lost its scheduler for good."""
        return self.connection.client

    @classmethod
    def open(cls, url: str, **options: Any) -> Self:
        """Connect to a scheduler, by the user's client where one is given as ``client``."""
        given, security = options.pop("client", None), options.pop("security", None)
        options.pop("auth", None)
        if options:
            raise TypeError(f"{mask(url)} takes no {', '.join(options)}; it takes security= or client=")
        if given is not None and security is not None:
            raise TypeError("client= has its own security; give one of both")
        where, _, query = url.partition("?")
        ours = private_security(query)
        return cls(Connection(address_of(where), ours or security, given), ours is not None)

    @classmethod
    def private(cls) -> AbstractContextManager[str]:
        """Have a scheduler of our own."""
        return private_scheduler()

    # -- calls ---------------------------------------------------------------------------------------------------

    def submit(self, call: Call) -> Future[bytes]:
        """Send a call as a task to a worker of its labels."""
        return self.submit_many([call])[0]

    def submit_many(self, calls: Sequence[Call]) -> list[Future[bytes]]:
        """Send calls as one graph for each label."""
        futures = [self._answers.expect(call.id) for call in calls]
        try:
            for call in calls:
                self._sending.send([call], partial(self._ended, call.id))
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return futures

    def _ended(self, id: str, task: Task) -> None:
        """Tell who waits that the ledger has it, or why it was refused."""
        refused = why_refused(task._state.exception) if task.status == "error" else None  # noqa: SLF001
        self._answers.give(id, _LOOK_INTO_THE_LEDGER if refused is None else answer_of(refused))

    def forward(self, call: Call) -> None:
        """Send a call whose answer nobody waits for here."""
        self._sending.send([call])

    def submit_canvas(self, id: str, calls: Sequence[Call]) -> Future[bytes] | None:
        """Send the first steps; the host that ends the canvas tells this process so."""
        client = self.client
        if self._listens is not (line := client.scheduler_comm):
            # Another scheduler, at the same address, has not been asked yet.
            self._listens = line
            client.subscribe_topic(self.mailbox, self._told)
        future = self._answers.expect(id)
        self._sending.send(calls)
        self._sending.drain()
        return future

    def _told(self, event: tuple[float, str]) -> None:
        self._answers.give(event[1], _LOOK_INTO_THE_LEDGER)

    def tell(self, mailbox: str, id: str, outcome: bytes) -> None:
        """Tell the process that has submitted a canvas that the ledger has its end."""
        self.client.log_event(mailbox, id)

    def cancel(self, id: str) -> bool:
        """Tell all hosts that a task is cancelled; the one that runs it stops it."""
        ours = [address for address, said in self._hosts().items() if said]
        if ours:
            self.client.run(cancel_here, id, workers=ours, wait=False, on_error="ignore")
        return True

    # -- workers -------------------------------------------------------------------------------------------------

    def workers(self) -> list[WorkerInfo]:
        """List the slots of those workers that are hosts."""
        return [info for each in self._hosts().values() for info in msgspec.convert(each, list[WorkerInfo])]

    def _hosts(self) -> dict[str, Any]:
        """Return what each of the cluster's workers says of its host; an empty list where it has none."""
        workers = self._identity()["workers"].items()
        return {address: worker["metrics"].get("omruntime") or [] for address, worker in workers}

    def _identity(self) -> Any:
        client = self.connection.running
        return client.sync(_identity, client, callback_timeout=PATIENCE)

    def announce(self, workers: Sequence[WorkerInfo]) -> None:
        """Have the scheduler learn who works in this process."""
        self.announced = tuple(workers)
        if self.on_announced is not None:
            self.on_announced()

    def work(self, host: WorkerHost, stop: threading.Event) -> None:
        """Be one of the cluster's workers."""
        from omruntime_dask.worker import work

        work(self, host, stop)

    def incarnation(self) -> str:
        """Name the scheduler's process: a new one has forgotten everything."""
        now = time.monotonic()
        if now - self._life_seen > _LIFE_HOLDS:
            self._life, self._life_seen = str(self._identity()["id"]), now
        return self._life

    def close(self) -> None:
        """Disconnect; a client of the user's stays open."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._sending.drain()
        self.connection.close(self.mailbox if self._listens is not None else "")
        self._answers.close()


_LOOK_INTO_THE_LEDGER = answer_of(b"")


async def _identity(client: Any) -> Any:
    return await client.scheduler.identity(n_workers=-1)
