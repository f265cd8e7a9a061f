"""A named actor as a host: it takes calls, has its runners run them, and gives the answers to those who wait."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypedDict

import msgspec
import ray

from omruntime.abc import Backend, Buffer, Call, Capability, WorkerInfo, answer_of, unpack_call
from omruntime.auth import Auth, default_auth
from omruntime.errors import OmegaRuntimeError
from omruntime.logins import take
from omruntime.worker import Host
from omruntime.worker.channel import Message
from omruntime_ray.carried import Order, Said, unpacked_calls
from omruntime_ray.desk import Shelf, packed_answers
from omruntime_ray.door import Door, Visitor

if TYPE_CHECKING:
    from omruntime_ray.backend import RayBackend

__all__ = ["LOOK_INTO_THE_LEDGER", "Station", "Wanted", "station_class"]

WAITING = "waiting"
"""The threads of those who wait for answers: orders and calls must not wait for them."""
_WAIT = 5.0
"""Seconds after which somebody who waits gives his thread to others, and asks again."""

LOOK_INTO_THE_LEDGER = answer_of(b"")


class Wanted(TypedDict):
    """What a station is to be; nothing in it is secret, for Ray keeps it."""

    namespace: str
    """Of the engine's actors, empty for a private one."""
    name: str
    """Name of the actor."""
    workers: dict[str, int]
    env: dict[str, str]


class Station:
    """A host in a process of Ray's; all its work is done in threads of the host's.

    Args:
        wanted: what it is to be.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._stop = threading.Event()
        self._host: Host | None = None
        self._backend: RayBackend | None = None
        self._opened: Said = ("", "")
        self._shelf = Shelf()
        self._door = Door(self._visited)
        if wanted["namespace"]:
            # Here, and not by a call: where Ray starts this actor again, nobody calls.
            self._opened = _said(self._open_shared)

    def _open_shared(self) -> str:
        from omruntime_ray.backend import RayBackend

        auth = default_auth()
        backend = RayBackend.open(f"ray://auto/{self._wanted['namespace']}", auth=auth)
        backend.station, backend.door = self._wanted["name"], self._door.path
        try:
            host = Host.of(backend, self._wanted["workers"], auth, env=self._wanted["env"])
            if store := os.environ.get("OMRUNTIME_STORE"):
                host.look_after(store)
        except BaseException:
            backend.close()
            raise
        self._host, self._backend = host, backend
        backend.on_end = self._stop.set
        threading.Thread(target=self._work, args=(backend, host), name="omruntime-ray-work", daemon=True).start()
        return host.id

    def _work(self, backend: RayBackend, host: Host) -> None:
        from omruntime.worker.serving import serve

        serve(backend, host, self._stop)
        host.close()
        backend.close()
        self._door.close()
        ray.kill(ray.get_runtime_context().current_actor)

    def open(self, user: str, key: str, logins: dict[str, str]) -> Said:
        """Begin as the only host of a private engine; secrets come by this call, since Ray keeps none of those."""
        take(logins)
        self._opened = _said(partial(self._open_private, Auth(user, key)))
        return self._opened

    def _open_private(self, auth: Auth) -> str:
        self._host = Host.of(_Tied(self), self._wanted["workers"], auth, tied=True, env=self._wanted["env"])
        return self._host.id

    def opened(self) -> Said:
        """Return the id of the host, when it is ready."""
        return self._opened

    def stays(self) -> bool:
        """Tell whether it goes on to take calls."""
        return not self._stop.is_set()

    def door(self) -> str:
        """Return where processes of this machine reach it without Ray."""
        return self._door.path

    def tell(self, mailbox: str, id: str, outcome: bytes) -> None:
        """Leave the outcome of a canvas for the one who has submitted it."""
        if (visitor := self._door.visitor(mailbox)) is not None:
            visitor.give(id, answer_of(outcome))
        else:
            self._shelf.put(mailbox, id, answer_of(outcome))

    # -- calls ---------------------------------------------------------------------------------------------------

    @ray.method(concurrency_group=WAITING)  # type: ignore[untyped-decorator]  # Ray is typed in part
    def exchange(self, mailbox: str, calls: bytes, linger: float) -> bytes:
        """Take calls, and return what answers there are for a mailbox, as soon as there are some."""
        if calls:
            self.take(mailbox, calls)
        return packed_answers(self._shelf.collect(mailbox, _WAIT, linger))

    def let_go(self, mailbox: str) -> None:
        """Expect nobody to ask for a mailbox any more."""
        self._shelf.let_go(mailbox)

    def take(self, mailbox: str, calls: bytes) -> None:
        """Take calls, whose answers go to a mailbox; an empty one for nobody."""
        self._deliver(calls, partial(self._shelf.put, mailbox) if mailbox else _drop)

    def _deliver(self, calls: Buffer, give: Callable[[str, bytes], None]) -> None:
        assert self._host is not None
        for each in unpacked_calls(calls):
            answer = partial(give, each.id)
            if self._stop.is_set() and self._backend is not None:
                # It was sent before its sender could know; somebody else takes it, and the ledger tells.
                self._backend.forward(unpack_call(each.packed))
                answer(LOOK_INTO_THE_LEDGER)
            else:
                self._host.deliver(each.packed, answer)
        if self._backend is not None:
            self._backend.has_taken()

    # -- orders --------------------------------------------------------------------------------------------------

    def _visited(self, visitor: Visitor, message: Message, buffers: list[memoryview]) -> None:
        """Do what a process at the door asks for; orders come there to a private host alone."""
        if message.kind == "calls":
            self._deliver(buffers[0], visitor.give if message.data["answer"] else _drop)
        elif not self._wanted["namespace"]:
            threading.Thread(
                target=self._ordered, args=(visitor, message), name="omruntime-ray-order", daemon=True
            ).start()

    def _ordered(self, visitor: Visitor, message: Message) -> None:
        data = message.data
        said = self.open(**data["keys"]) if message.kind == "open" else self.order(data["order"])
        visitor.say(data["number"], said)

    def order(self, order: Order) -> Said:
        """Do something that is no call."""
        return _said(partial(self._carry_out, order))

    def _carry_out(self, order: Order) -> Any:
        host = self._host
        assert host is not None
        if "scale" in order:
            host.scale(order["scale"])
        elif "store" in order:
            take(order["logins"])
            host.look_after(order["store"])
        elif "cancel" in order:
            host.cancel(order["cancel"])
        elif "workers" in order:
            return msgspec.to_builtins(self.here())
        elif "close" in order:
            self._stop.set()
            if self._backend is None:
                host.close(order["close"])
        return None

    def here(self) -> list[WorkerInfo]:
        """List the workers of this host."""
        return self._host.workers() if self._host is not None else []


def station_class() -> Any:
    """Return the class of actors."""
    # Their threads are made at the start, and cost some memory each.
    return ray.remote(num_cpus=0, concurrency_groups={WAITING: 256})(Station)


def _said(act: Callable[[], Any]) -> Said:
    try:
        return ("", act())
    except OmegaRuntimeError as exc:
        return (type(exc).__name__, str(exc))


def _drop(id: str, answer: bytes) -> None:
    """Nobody waits for it."""


class _Tied(Backend):
    """The engine of a private host, which keeps to itself all that its tasks submit."""

    name = "ray"
    schemes = ()
    capabilities = frozenset(Capability)

    def __init__(self, station: Station) -> None:
        self._station = station
        self.address = "ray://"

    @classmethod
    def open(cls, url: str, **options: Any) -> Self:
        raise TypeError("it is made by its station")

    def submit(self, call: Call) -> Future[bytes]:
        raise TypeError("a tied host sends nothing on")

    def tell(self, mailbox: str, id: str, outcome: bytes) -> None:
        self._station.tell(mailbox, id, outcome)

    def workers(self) -> list[WorkerInfo]:
        return self._station.here()

    def close(self) -> None:
        """Nothing was opened."""
