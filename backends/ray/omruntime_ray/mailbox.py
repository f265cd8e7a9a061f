"""What a process sends its calls with, whichever way they go: its name, and where answers and losses come to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from omruntime_ray.carried import Sent

__all__ = ["AnyLine", "Mailbox"]


class Mailbox(NamedTuple):
    """Where answers come to.

    Attributes:
        name: of this process.
        give: called with id and packed answer of each call.
        lost: called once with the ids that are open and the error, when whoever had the calls is gone.
    """

    name: str
    give: Callable[[str, bytes], None]
    lost: Callable[[list[str], BaseException], None]


class AnyLine(ABC):
    """Sends calls to one actor and gives their answers."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._expected: set[str] = set()
        self._closed = self._leaving = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is sent: it was closed, or the actor is gone or leaves."""
        return self._closed or self._leaving

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for anything that it could bring."""
        return self._closed or (self._leaving and not self._expected)

    @abstractmethod
    def send(self, calls: Sequence[Sent]) -> bool:
        """Send calls; False where the line is closed, and they were not sent."""

    @abstractmethod
    def expect(self, id: str) -> None:
        """Expect an answer of this name, though no call is sent for it."""

    @abstractmethod
    def close_when_idle(self) -> None:
        """Send nothing more; answers come still."""

    @abstractmethod
    def close(self) -> None:
        """Expect nothing any more."""
