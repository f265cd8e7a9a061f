"""The office: an actor that knows who works, and keeps the calls that no single host is there for."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from uuid import uuid4

import ray

from omruntime.abc import label_set
from omruntime_ray.carried import Carried, Entry, Errand, Known, Room, unpacked_calls
from omruntime_ray.desk import Desk, packed_answers
from omruntime_ray.recall import forget, recalled, remember
from omruntime_ray.versions import SPEAKS, release

__all__ = ["OFFICE", "Office"]

OFFICE = "office"
"""Name of the actor in its namespace."""
_POLL = 20.0
"""Seconds after which whoever waits for news is told that there are none."""
_LOOK = 0.25


@dataclass(slots=True)
class _Host:
    entry: Entry
    seen: float
    given: int = 0
    room: Room = field(default_factory=lambda: Room(taken=0, rooms={}, busy=False))
    asking: asyncio.Future[None] | None = None
    eager: bool = False
    """It counts again, and goes on to, for calls wait that it may run."""
    calls: list[Carried] = field(default_factory=list)
    cancel: list[str] = field(default_factory=list)
    stores: set[str] = field(default_factory=set)


class Office:
    """Knows the hosts of a namespace, brings calls to those that have room, and answers to those who have sent them.

    Args:
        namespace: of our actors.
        idle: seconds after which a pool that nobody needs ends.
    """

    def __init__(self, namespace: str, idle: float) -> None:
        self._namespace, self._idle = namespace, idle
        self._life = uuid4().hex
        self._address = f"ray+gcs://{ray.get_runtime_context().gcs_address}/{namespace}"
        self._version, self._losses = 1, 0
        self._hosts: dict[str, _Host] = {}
        self._queues: dict[str, deque[Carried]] = {}
        self._there: set[str] = set()
        self._senders: dict[str, str] = {}
        self._stores = recalled(namespace)
        """Those that the last life of this office knew, too: whoever was hosted with it knows none any more."""
        self._news: set[asyncio.Future[None]] = set()
        self._keepers: dict[str, asyncio.Future[None]] = {}
        self._desk: Desk | None = None
        self._used = monotonic()

    def _boxes(self) -> Desk:
        if self._desk is None:
            self._desk = Desk()
            self._keeper = asyncio.ensure_future(self._keep())
        return self._desk

    # -- calls ---------------------------------------------------------------------------------------------------

    async def exchange(self, mailbox: str, calls: bytes, linger: float) -> bytes:
        """Take calls, and return what answers there are for a mailbox, as soon as there are some."""
        desk = self._boxes()
        if calls:
            await self.take(mailbox, calls)
        return packed_answers(await desk.collect(mailbox))

    async def take(self, mailbox: str, calls: bytes) -> None:
        """Take calls, whose answers go to a mailbox; an empty one for nobody."""
        self._boxes()
        for id, label, packed in unpacked_calls(calls):
            if mailbox:
                self._senders[id] = mailbox
            if id not in self._there:
                self._there.add(id)
                self._queues.setdefault(label, deque()).append(Carried(id, label, packed))
        self._bring()

    async def let_go(self, mailbox: str) -> None:
        """Expect nobody to ask for a mailbox any more."""
        self._boxes().let_go(mailbox)

    async def answer(self, id: str, answer: bytes) -> None:
        """Give the answer of a call that was fetched here to the one who has sent it."""
        if mailbox := self._senders.pop(id, ""):
            self._boxes().put(mailbox, id, answer)

    async def post(self, mailbox: str, id: str, answer: bytes) -> None:
        """Leave something in a mailbox: the end of a canvas."""
        self._boxes().put(mailbox, id, answer)

    async def cancel(self, id: str) -> None:
        """Tell all hosts that a task is cancelled."""
        self._boxes()
        for host in self._hosts.values():
            host.cancel.append(id)
            _wake(host)

    async def look_after(self, store: str) -> None:
        """Have all hosts look after a store, those that join later too."""
        self._boxes()
        if store not in self._stores:
            remember(self._namespace, store)
        self._stores.add(store)
        for host in self._hosts.values():
            _wake(host)

    async def queued(self, label: str) -> int:
        """Return how many calls wait for workers of a set of labels."""
        return len(self._queues.get(label, ()))

    def _bring(self) -> None:
        """Give calls to hosts that would begin them at once."""
        for label, queue in list(self._queues.items()):
            while queue:
                host = self._free_for(label)
                if host is None:
                    self._have_counted(label)
                    break
                carried = queue.popleft()
                self._there.discard(carried.id)
                host.calls.append(carried)
                host.given += 1
                _wake(host)
            if not queue:
                del self._queues[label]

    def _have_counted(self, label: str) -> None:
        """Have the hosts of a label count again: what they said last may not be so any more."""
        wanted = label_set(label)
        for host in self._hosts.values():
            if not host.eager and any(wanted <= label_set(each) for each in host.entry["labels"]):
                host.eager = True
                _wake(host)

    def _free_for(self, label: str) -> _Host | None:
        wanted = label_set(label)
        free = [host for host in self._hosts.values() if _room(host, wanted) > 0]
        return max(free, key=lambda host: _room(host, wanted), default=None)

    # -- hosts ---------------------------------------------------------------------------------------------------

    async def announce(self, id: str, entry: Entry) -> None:
        """Learn who works at a host; one without workers leaves."""
        self._boxes()
        if not entry["workers"]:
            self._leaves(id)
            return
        if id in self._hosts:
            self._hosts[id].entry = entry
            self._hosts[id].seen = monotonic()
        else:
            self._hosts[id] = _Host(entry, monotonic())
        self._changed()

    def _leaves(self, id: str) -> None:
        host = self._hosts.pop(id, None)
        if host is not None:
            _wake(host)
            for carried in reversed(host.calls):
                self._there.add(carried.id)
                self._queues.setdefault(carried.label, deque()).appendleft(carried)
            host.calls = []
            self._changed()
            self._bring()

    async def work(self, id: str, room: Room, limit: float) -> Errand:
        """Return what a host is to do, once there is something, or after a time; a new request ends the last."""
        self._boxes()
        host = self._hosts.get(id)
        if host is None:
            return Errand(calls=[], cancel=[], known=False, eager=False, stores=[], end=False)
        _wake(host)
        host.asking, host.eager = None, False
        host.seen, host.room = monotonic(), room
        self._bring()
        if not (host.calls or host.cancel or host.eager or self._stores - host.stores):
            host.asking = asking = asyncio.get_running_loop().create_future()
            await asyncio.wait([asking], timeout=limit)
            if host.asking is asking:
                host.asking = None
                host.seen = monotonic()
        errand = Errand(
            calls=host.calls,
            cancel=host.cancel,
            known=self._hosts.get(id) is host,
            eager=host.eager or self._shares(id),
            stores=sorted(self._stores - host.stores),
            end=host.entry["pooled"] and self._is_idle(),
        )
        host.calls, host.cancel = [], []
        host.stores |= self._stores
        return errand

    def _shares(self, id: str) -> bool:
        """Tell whether another host has some label of this one."""
        if id not in self._hosts:
            return False
        mine = _labels(self._hosts[id])
        return any(mine & _labels(host) for other, host in self._hosts.items() if other != id)

    def _is_idle(self) -> bool:
        if self._keepers or self._queues or any(host.room["busy"] for host in self._hosts.values()):
            self._used = monotonic()
        return monotonic() - self._used > self._idle

    # -- news ----------------------------------------------------------------------------------------------------

    async def known(self) -> Known:
        """Return what is known now."""
        self._boxes()
        return Known(
            speaks=SPEAKS,
            release=release(),
            address=self._address,
            life=f"{self._life}-{self._losses}",
            version=self._version,
            hosts={id: host.entry for id, host in self._hosts.items()},
        )

    async def news(self, life: str, version: int, keeper: str) -> Known:
        """Return what is known as soon as it is not that version any more, or after a time.

        Args:
            life: that the version is of.
            version: what is known to the one who asks.
            keeper: name of the runtime that asks, for which the pool is kept; empty for others.
        """
        self._boxes()
        if life.startswith(self._life) and version == self._version:
            told = asyncio.get_running_loop().create_future()
            self._news.add(told)
            if keeper:
                self._keepers[keeper] = told
            await asyncio.wait([told], timeout=_POLL)
            self._news.discard(told)
            if self._keepers.get(keeper) is told:
                del self._keepers[keeper]
        return await self.known()

    async def leave(self, keeper: str) -> None:
        """Keep the pool no more for a runtime that is closed."""
        told = self._keepers.pop(keeper, None)
        if told is not None and not told.done():
            told.set_result(None)

    def _changed(self) -> None:
        self._version += 1
        for told in self._news:
            if not told.done():
                told.set_result(None)

    async def _keep(self) -> None:
        """Notice who is not heard of any more."""
        while True:
            await asyncio.sleep(_LOOK)
            now = monotonic()
            gone = [id for id, host in self._hosts.items() if now - host.seen > host.entry["period"]]
            for id in gone:
                # Stewards send again what it had taken and not claimed.
                self._losses += 1
                self._leaves(id)
            self._end_when_idle()

    def _end_when_idle(self) -> None:
        """End, when the pool has, and nobody else is there."""
        if not self._hosts and self._is_idle():
            forget(self._namespace)
            ray.kill(ray.get_runtime_context().current_actor)


def _labels(host: _Host) -> frozenset[str]:
    return frozenset().union(*map(label_set, host.entry["labels"]))


def _room(host: _Host, wanted: frozenset[str]) -> int:
    # Not their sum: a slot of several sets of labels is counted in each.
    rooms = (count for labels, count in host.room["rooms"].items() if wanted <= label_set(labels))
    return max(rooms, default=0) - (host.given - host.room["taken"])


def _wake(host: _Host) -> None:
    if host.asking is not None and not host.asking.done():
        host.asking.set_result(None)
