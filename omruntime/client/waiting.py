"""How a handle learns the outcome of its task: pushed by the engine, or read off the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING

from omruntime.errors import ResultTimeout

if TYPE_CHECKING:
    from omruntime.client.session import Session

__all__ = ["Waiting"]

_log = logging.getLogger("omruntime.client")
_PATIENCE = 1.0
"""Seconds after which somebody who waits is told what may be missing, and the ledger is looked into as well."""


class Waiting:
    """The packed outcome of one task, now or later.

    Args:
        task: id of the task.
        session: where its ledger is.
        pushed: the future that the engine resolves; None for a task that was found by its id.

    Attributes:
        live: the engine is expected to push the outcome.
    """

    def __init__(self, task: str, session: Session, pushed: Future[bytes] | None) -> None:
        self._task = task
        self._session = session
        self._pushed: Future[bytes] = pushed if pushed is not None else Future()
        self._watched = False
        self._packed: bytes | None = None
        self._since = time.monotonic()
        self.live = pushed is not None

    def known(self) -> bytes | None:
        """Return the outcome if nobody has to wait for it."""
        return self._packed if self.live or self._pushed.done() else self.read_off()

    def read_off(self) -> bytes | None:
        """Return the outcome if the ledger has it already."""
        if self._packed is None:
            end = self._session.ledger.state(self._task).end
            self._packed = end.outcome if end is not None else None
        return self._packed

    def wait(self, timeout: float | None, impatient: Callable[[], None]) -> bytes:
        """Wait for the outcome.

        Args:
            timeout: seconds to wait at the most, None for ever.
            impatient: called once, when it takes longer than a second.

        Raises:
            ResultTimeout: it is not there in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            if self.live and not self._watched:
                if self._is_late() and (packed := self.read_off()):
                    return packed
                patience = _PATIENCE if timeout is None else min(_PATIENCE, max(0.0, timeout))
                try:
                    return self._arrived(self._pushed.result(patience), deadline)
                except FutureTimeout:
                    if deadline is not None and time.monotonic() >= deadline:
                        raise
                impatient()
                if packed := self.read_off():
                    return packed
            return self._arrived(self.watch().result(_left(deadline)), deadline)
        except FutureTimeout as exc:
            if self._pushed.done() and self._pushed.exception() is exc:
                # What the engine made of the call, and no end of ours to the waiting.
                raise
            status = self._session.ledger.state(self._task).status
            raise ResultTimeout(
                f"task {self._task} is not over after {timeout} s (it is {status}); it goes on: ask again, "
                "or stop it with cancel()"
            ) from None

    def _is_late(self) -> bool:
        """Tell whether a push is due that may have been lost, as those are that a broker had when it died."""
        return not self._pushed.done() and time.monotonic() - self._since > _PATIENCE

    def _arrived(self, packed: bytes, deadline: float | None) -> bytes:
        while not packed:
            self.go_by_the_ledger()
            # Where an engine pushes only that it is over, nobody waits for the next look of the watcher.
            packed = self.read_off() or self.watch().result(_left(deadline))
        self._packed = packed
        return packed

    def watch(self) -> Future[bytes]:
        """Return a future of the outcome that is resolved by the engine or by the ledger, whichever is first.

        Empty bytes mean that the engine's part is over: call `go_by_the_ledger` and watch again.
        """
        if not self._watched:
            self._watched = True
            self._session.watcher.watch(self._task, self._pushed, live=self.live)
        return self._pushed

    def hear(self, answer: bytes | Exception) -> None:
        """Take what the host of this task says of the one that it waits for.

        Args:
            answer: the packed outcome; empty where only the ledger can tell; or why this task cannot wait, which
                whoever waits now is told, and nobody later.
        """
        pushed = self._pushed
        try:
            if isinstance(answer, Exception):
                self.go_by_the_ledger()
                pushed.set_exception(answer)
            elif answer or self.live:
                pushed.set_result(answer)
        except InvalidStateError:
            # The ledger was faster.
            return

    def distrust(self) -> bool:
        """Go by the ledger, as an outcome is not signed as it must be; False where the ledger itself has it so.

        Whoever can write to the engine can push something: what the ledger has counts.
        """
        pushed = self.live
        if pushed:
            _log.warning("what the engine has pushed for task %s is not its outcome; the ledger is asked", self._task)
        self.go_by_the_ledger()
        return pushed

    def go_by_the_ledger(self) -> None:
        """Expect nothing from the engine any more, and keep nothing that it has said."""
        self._pushed, self._watched, self._packed, self.live = Future(), False, None, False


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
