"""Where answers wait for those who have sent the calls: each has an exchange open, and gets all there are."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass, field
from time import monotonic

__all__ = ["Answered", "Desk"]

Answered = list[tuple[str, bytes]]
"""Ids of calls, each with its packed answer."""

_ABANDONED = 600.0
"""Seconds after which answers that nobody asks for are dropped: the ledger has them."""


@dataclass(slots=True)
class _Box:
    answers: Answered = field(default_factory=list)
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    since: float = 0.0


class Desk:
    """The mailboxes in one actor, in the event loop that it is made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._boxes: dict[str, _Box] = {}
        self._lock = threading.Lock()
        self._arrived: list[tuple[str, str, bytes]] = []

    def put(self, mailbox: str, id: str, answer: bytes) -> None:
        """Leave an answer, from any thread."""
        with self._lock:
            first = not self._arrived
            self._arrived.append((mailbox, id, answer))
        if first:
            try:
                self._loop.call_soon_threadsafe(self._sort)
            except RuntimeError:
                # The loop has ended, and the actor with it.
                return

    def _sort(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        for mailbox, id, answer in arrived:
            box = self._boxes.setdefault(mailbox, _Box())
            box.answers.append((id, answer))
            box.since = monotonic()
            while box.waiting:
                if not (waiter := box.waiting.popleft()).done():
                    waiter.set_result(None)
                    break
        if arrived:
            self._forget()

    def _forget(self) -> None:
        old = monotonic() - _ABANDONED
        for mailbox in [name for name, box in self._boxes.items() if box.since < old and not box.waiting]:
            del self._boxes[mailbox]

    async def collect(self, mailbox: str) -> Answered:
        """Return all answers of a mailbox as soon as there are some."""
        box = self._boxes.setdefault(mailbox, _Box(since=monotonic()))
        if not box.answers:
            waiter: asyncio.Future[None] = self._loop.create_future()
            box.waiting.append(waiter)
            await waiter
        answers, box.answers = box.answers, []
        if not box.waiting and self._boxes.get(mailbox) is box:
            del self._boxes[mailbox]
        return answers

    def let_go(self, mailbox: str) -> None:
        """Answer all who wait for a mailbox, though there is nothing: they do not want it any more."""
        box = self._boxes.pop(mailbox, None)
        for waiter in box.waiting if box is not None else ():
            if not waiter.done():
                waiter.set_result(None)
