"""A private engine: one station that ends with its runtime, in a Ray of its own, or in one that the user has."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import msgspec
import ray

from omruntime.abc import Call, WorkerInfo
from omruntime.auth import Auth
from omruntime.errors import BackendUnavailable
from omruntime.logins import known, parted
from omruntime_ray.carried import Order, Said, carried, packed_calls, settled
from omruntime_ray.direct import DirectLine, connected
from omruntime_ray.kept import KeptRay
from omruntime_ray.line import Line
from omruntime_ray.mailbox import AnyLine, Mailbox
from omruntime_ray.reach import ACTING, ANSWER_LIMIT, START_LIMIT
from omruntime_ray.station import Wanted, station_class

__all__ = ["JoinedPool", "KeptPool", "PrivatePool"]


class _Keys(TypedDict):
    user: str
    key: str
    logins: dict[str, str]


class PrivatePool(ABC):
    """The only station of a private engine.

    Attributes:
        lease: id of its host.
    """

    address = "ray://"
    life = ""
    lease: str
    _line: AnyLine

    def __init__(self) -> None:
        self._stores: set[str] = set()

    @abstractmethod
    def _ask(self, order: Order, limit: float | None = None) -> Said:
        """Have the station do something."""

    @abstractmethod
    def forward(self, call: Call) -> None:
        """Send a call whose answer nobody waits for."""

    @abstractmethod
    def _end(self) -> None:
        """Have the station gone."""

    def queued(self, label: str) -> int | None:
        """Return None: the host has all calls."""
        return None

    def send(self, calls: Sequence[Call]) -> None:
        """Send calls whose answers are waited for."""
        self._line.send([(call.id, call.name, carried(call)) for call in calls])

    def await_canvas(self, id: str) -> None:
        """Have the end of a canvas told to this process."""
        self._line.expect(id)

    def expect_store(self, url: str) -> None:
        """Have the host take its lease in a store."""
        if url not in self._stores:
            settled(self._ask(Order(store=url, logins=known(url))))
            self._stores.add(url)

    def cancel(self, id: str) -> None:
        """Stop a task."""
        self._ask(Order(cancel=id))

    def scale(self, workers: Mapping[str, int], env: Mapping[str, str]) -> None:
        """Have as many slots as it says."""
        settled(self._ask(Order(scale=dict(workers))))

    def workers(self) -> list[WorkerInfo]:
        """List the workers."""
        return msgspec.convert(settled(self._ask(Order(workers=True), ANSWER_LIMIT)), list[WorkerInfo])

    def close(self, wait: bool) -> None:
        """End the station, when its tasks are over or at once."""
        try:
            self._ask(Order(close=wait))
        except BackendUnavailable:
            # It is gone already.
            pass
        finally:
            self._line.close()
            self._end()


def _wanted(workers: Mapping[str, int] | None, env: Mapping[str, str]) -> Wanted:
    slots = dict(workers or {"default": os.cpu_count() or 1})
    return Wanted(namespace="", name="private", workers=slots, env=parted(env)[0])


def _keys(auth: Auth, env: Mapping[str, str]) -> _Keys:
    """Return what is secret of what a station has to know, and so goes to it past Ray."""
    return _Keys(user=auth.user, key=auth.secret(), logins=parted({**os.environ, **env})[1])


class KeptPool(PrivatePool):
    """The same in a Ray of its own, which another process keeps, so that this one is no part of it.

    Args:
        workers: slots of each label set; None for one for each core.
        env: environment variables for its tasks.
        auth: the keys.
        mailbox: of this process.
    """

    def __init__(
        self,
        workers: Mapping[str, int] | None,
        env: Mapping[str, str],
        auth: Auth,
        mailbox: Mailbox,
    ) -> None:
        super().__init__()
        self._ray = KeptRay(_wanted(workers, env))
        try:
            sock = connected(self._ray.door)
            if sock is None:
                raise BackendUnavailable(f"the actor of the private Ray cannot be reached at {self._ray.door}")
            self._line: DirectLine = DirectLine(sock, mailbox)
            try:
                self.lease = settled(self._line.ask("open", {"keys": _keys(auth, env)}))
            except BaseException:
                self._line.close()
                raise
        except BaseException:
            self._ray.close()
            raise

    def forward(self, call: Call) -> None:
        """Send a call whose answer nobody waits for."""
        self._line.forward(packed_calls([carried(call)]))

    def _ask(self, order: Order, limit: float | None = None) -> Said:
        return self._line.ask("order", {"order": order}, limit)

    def _end(self) -> None:
        self._ray.close()


class JoinedPool(PrivatePool):
    """The same in the Ray that the user has in this process, which goes on.

    Args: those of `KeptPool`.
    """

    def __init__(
        self,
        workers: Mapping[str, int] | None,
        env: Mapping[str, str],
        auth: Auth,
        mailbox: Mailbox,
    ) -> None:
        super().__init__()
        self._actor: Any = station_class().options(max_concurrency=ACTING).remote(_wanted(workers, env))
        self.lease = settled(ray.get(self._actor.open.remote(**_keys(auth, env)), timeout=START_LIMIT))
        sock = connected(ray.get(self._actor.door.remote(), timeout=ANSWER_LIMIT))
        self._line = Line(self._actor, mailbox) if sock is None else DirectLine(sock, mailbox)

    def forward(self, call: Call) -> None:
        """Send a call whose answer nobody waits for."""
        self._actor.take.remote("", packed_calls([carried(call)]))

    def _ask(self, order: Order, limit: float | None = None) -> Said:
        said: Said = ray.get(self._actor.order.remote(order), timeout=limit)
        return said

    def _end(self) -> None:
        ray.kill(self._actor)
