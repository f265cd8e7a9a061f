"""Where answers wait for those who have sent the calls: each has an exchange open, and gets all there are."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass, field
from time import monotonic

import msgspec

__all__ = ["Answered", "Desk", "Shelf", "packed_answers", "unpacked_answers"]

Answered = list[tuple[str, bytes]]
"""Ids of calls, each with its packed answer."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Answered)


def packed_answers(answers: Answered) -> bytes:
    """Return answers as bytes, which Ray carries faster than whatever else."""
    return _encoder.encode(answers)


def unpacked_answers(packed: bytes) -> Answered:
    """Return the answers that `packed_answers` made these bytes of."""
    return _decoder.decode(packed)


_ABANDONED = 600.0
"""Seconds after which answers that nobody asks for are dropped: the ledger has them."""
_MANY = 64


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


class Shelf:
    """The same for an actor of threads: each of those who wait has one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._answers: dict[str, Answered] = {}
        self._left: dict[str, float] = {}
        self._unwanted: set[str] = set()

    def put(self, mailbox: str, id: str, answer: bytes) -> None:
        """Leave an answer, from any thread."""
        with self._changed:
            if mailbox not in self._answers:
                self._forget()
                self._answers[mailbox] = []
                self._left[mailbox] = monotonic()
            self._answers[mailbox].append((id, answer))
            self._changed.notify_all()

    def _forget(self) -> None:
        old = monotonic() - _ABANDONED
        for mailbox in [name for name, since in self._left.items() if since < old]:
            del self._answers[mailbox], self._left[mailbox]

    def collect(self, mailbox: str, limit: float, linger: float) -> Answered:
        """Return all answers of a mailbox as soon as there are some; none after a time.

        Args:
            mailbox: whose.
            limit: seconds to wait at the most.
            linger: seconds to wait for more of them.
        """
        with self._changed:
            self._changed.wait_for(lambda: mailbox in self._answers or mailbox in self._unwanted, limit)
            if linger and mailbox in self._answers:
                self._changed.wait_for(lambda: len(self._answers.get(mailbox, ())) >= _MANY, linger)
            self._unwanted.discard(mailbox)
            self._left.pop(mailbox, None)
            return self._answers.pop(mailbox, [])

    def let_go(self, mailbox: str) -> None:
        """Answer whoever waits for a mailbox, though there is nothing."""
        with self._changed:
            self._unwanted.add(mailbox)
            self._changed.notify_all()
