"""What an engine's own process works with: the host, as `Backend.work` is given it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from omruntime.abc.store import Buffer

__all__ = ["WorkerHost"]


class WorkerHost(Protocol):
    """Runs the calls that an engine brings; `omruntime.worker.Host` is one."""

    id: str
    """Unique name of this host."""
    tied: bool
    """The engine is a private one that ends with its client, and this host takes everything at once."""
    freed: threading.Event
    """Set whenever there may be more room than before; whoever waits for it clears it."""

    def room(self, label: str) -> int:
        """Return how many more calls of this label would begin at once.

        An engine that has its workers fetch their calls fetches no more: another worker may be free. Tasks that wait
        for other tasks make room too.
        """

    def on_freed(self, callback: Callable[[], None]) -> None:
        """Have a callback called, in any thread, whenever `freed` is set: for engines with a loop of their own."""

    def submit(self, payload: Sequence[Buffer]) -> Future[bytes]:
        """Take a call; the future brings its packed outcome, or fails where the call was refused."""

    def deliver(self, packed: bytes, answer: Callable[[bytes], None]) -> Future[bytes]:
        """Take a call as `pack_call` made it, and return the future that `submit` does.

        Args:
            packed: the call.
            answer: called once, in any thread, with what `unpack_answer` takes; never where this host was closed
                before it could begin: the call is another host's then.
        """

    def give_back(self, future: Future[bytes]) -> bool:
        """Let go of a call that waits here for a slot, so that the engine can bring it to another worker.

        For engines that bring a host more calls than it has room for, which saves short tasks the way there: behind a
        long one they would wait while others are free.

        Returns:
            whether it was let go, and has no answer; False where it has begun, and its answer comes.
        """
