"""Who works: what workers say of themselves, kept for as long as they go on saying it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from omruntime.abc import WorkerInfo

__all__ = ["Presence", "pack_presence"]

_FIRST = 1.0
"""Seconds that the first answer to the question who is there may take."""
_GRACE = 0.5
"""Seconds that the next one may take after each."""


class _Message(msgspec.Struct):
    host: str
    period: float
    workers: list[WorkerInfo]


_decoder = msgspec.json.Decoder(_Message)


def pack_presence(host: str, period: float, workers: Sequence[WorkerInfo]) -> bytes:
    """Return what a worker process says: who works in it, and for how many seconds that holds; nobody at its end."""
    return msgspec.json.encode(_Message(host, period, list(workers)))


class Presence:
    """The workers that have been heard of.

    Args:
        ask: asks all workers to say who they are.
        alone: there is one worker process only.
    """

    def __init__(self, ask: Callable[[], None], alone: bool = False) -> None:
        self._ask, self._alone = ask, alone
        self._condition = threading.Condition()
        self._heard: dict[str, tuple[float, list[WorkerInfo]]] = {}
        self._asked = False

    def hear(self, packed: bytes) -> None:
        """Take what a worker process says; what is none of ours is dropped."""
        try:
            message = _decoder.decode(packed)
        except msgspec.MsgspecError:
            return
        with self._condition:
            if message.workers:
                self._heard[message.host] = (time.monotonic() + message.period, message.workers)
            else:
                self._heard.pop(message.host, None)
            self._condition.notify_all()

    def forget_that_it_was_asked(self) -> None:
        """Ask again before the next list is given: the broker has been gone, and news with it."""
        with self._condition:
            self._asked = False

    def workers(self) -> list[WorkerInfo]:
        """List those who live; the first time all are asked, and a moment is left them to answer."""
        with self._condition:
            first, self._asked = not self._asked, True
        if first:
            asked = time.monotonic()
            self._ask()
            with self._condition:
                if self._condition.wait_for(lambda: bool(self._heard), _FIRST):
                    # Where one was slow to answer, others are as well.
                    self._await_others(max(_GRACE, time.monotonic() - asked))
        now = time.monotonic()
        with self._condition:
            self._heard = {host: said for host, said in self._heard.items() if said[0] > now}
            return sorted(
                (each for _, workers in self._heard.values() for each in workers), key=lambda each: each.name
            )

    def _await_others(self, grace: float) -> None:
        """Wait until nobody new has answered for a moment: how many there are only they know."""
        while not self._alone:
            known = set(self._heard)
            if not self._condition.wait_for(partial(self._knows_more_than, known), grace):
                return

    def _knows_more_than(self, known: set[str]) -> bool:
        return bool(self._heard.keys() - known)
