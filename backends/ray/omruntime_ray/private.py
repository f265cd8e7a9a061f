"""A private engine: one station, in a Ray of this process' own or of the user's, which ends with its runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import ray

from omruntime.abc import Call, WorkerInfo
from omruntime.auth import Auth
from omruntime_ray.carried import carried, packed_calls
from omruntime_ray.line import Line
from omruntime_ray.reach import ACTING, ANSWER_LIMIT, START_LIMIT
from omruntime_ray.station import Order, Wanted, settled, station_class

__all__ = ["PrivatePool"]


class PrivatePool:
    """The only station of a private engine."""

    address = "ray://"
    life = ""

    def queued(self, label: str) -> None:
        """Nobody asks: the host has all calls."""

    def __init__(
        self,
        workers: Mapping[str, int] | None,
        env: Mapping[str, str] | None,
        auth: Auth,
        mailbox: str,
        give: Callable[[str, bytes], None],
        lost: Callable[[list[str], BaseException], None],
    ) -> None:
        slots = dict(workers or {"default": os.cpu_count() or 1})
        wanted = Wanted(namespace="", name="private", workers=slots, env=dict(env or {}))
        self._actor: Any = station_class().options(max_concurrency=ACTING).remote(wanted)
        self._stores: set[str] = set()
        self.lease: str = settled(ray.get(self._actor.open.remote(auth.user, auth.secret()), timeout=START_LIMIT))
        self._line = Line(self._actor, mailbox, give, lost)

    def send(self, calls: Sequence[Call]) -> None:
        """Send calls whose answers are waited for."""
        self._line.send([(call.id, call.name, carried(call)) for call in calls])

    def forward(self, call: Call) -> None:
        """Send a call whose answer nobody waits for."""
        self._actor.take.remote("", packed_calls([carried(call)]))

    def await_canvas(self, id: str) -> None:
        """Have the end of a canvas told to this process."""
        self._line.expect(id)

    def order(self, order: Order, limit: float | None = None) -> None:
        """Have the station do something."""
        settled(ray.get(self._actor.order.remote(order), timeout=limit))

    def expect_store(self, url: str) -> None:
        """Have the host take its lease in a store."""
        if url not in self._stores:
            self.order(Order(store=url))
            self._stores.add(url)

    def cancel(self, id: str) -> None:
        """Stop a task."""
        self._actor.order.remote(Order(cancel=id))

    def scale(self, workers: Mapping[str, int], env: Mapping[str, str]) -> None:
        """Have as many slots as it says."""
        self.order(Order(scale=dict(workers)))

    def workers(self) -> list[WorkerInfo]:
        """List the workers."""
        return msgspec.convert(ray.get(self._actor.workers.remote(), timeout=ANSWER_LIMIT), list[WorkerInfo])

    def close(self, wait: bool) -> None:
        """End the station, when its tasks are over or at once."""
        try:
            self.order(Order(close=wait))
        finally:
            self._line.close()
            ray.kill(self._actor)
