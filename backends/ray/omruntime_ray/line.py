"""The line from a process to one actor: calls go in groups, and each message back brings all answers there are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from omruntime_ray.office import Carried

__all__ = ["Line", "Sent"]

_MOMENT = 0.0005
"""Seconds after a message in which the next calls are gathered."""

Sent = tuple[str, str, Carried]
"""A call on its way: its id, its name, and what is carried."""


class Line:
    """Sends calls to one actor and gives their answers.

    A call goes at once, unless others went a moment ago: then with those that have come meanwhile. A message is
    answered as soon as any call of this process has ended: so one is open for as long as somebody waits, and a
    round trip takes one message.

    Args:
        actor: handle of the actor, which has ``exchange(mailbox, calls)``.
        mailbox: name of this process.
        give: called with id and packed answer of each call.
        lost: called once with the ids that are open and the error, when the actor does not answer any more.
    """

    def __init__(
        self,
        actor: Any,
        mailbox: str,
        give: Callable[[str, bytes], None],
        lost: Callable[[list[str], BaseException], None],
    ) -> None:
        self._actor, self._mailbox, self._give, self._lost = actor, mailbox, give, lost
        self._changed = threading.Condition()
        self._expected: set[str] = set()
        self._queue: list[Sent] = []
        self._open, self._sent = 0, 0.0
        self._thread: threading.Thread | None = None
        self._closed = self._leaving = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is sent: it was closed, or the actor is gone or leaves."""
        return self._closed or self._leaving

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for anything that it could bring."""
        return self._closed or (self._leaving and not self._expected)

    def send(self, calls: Sequence[Sent]) -> bool:
        """Send calls; False where the line is closed, and they were not sent."""
        with self._changed:
            if self.is_closed:
                return False
            free = not self._queue and (not self._expected or monotonic() - self._sent > _MOMENT)
            self._expected.update(call[0] for call in calls)
            if not free:
                self._queue += calls
                self._start()
                self._changed.notify()
                return True
        self._exchange(calls)
        return True

    def expect(self, id: str) -> None:
        """Have a message open until somebody has left an answer of this name."""
        with self._changed:
            self._expected.add(id)
            if self._open or self._closed:
                return
        self._exchange(())

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="omruntime-ray-line", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self.is_closed)
                if self._closed or not self._queue:
                    return
                calls, self._queue = self._queue, []
            self._exchange(calls)

    def _exchange(self, calls: Sequence[Sent]) -> None:
        with self._changed:
            self._open += 1
            self._sent = monotonic()
        name = f"{calls[0][1]} (+{len(calls) - 1})" if len(calls) > 1 else calls[0][1] if calls else "wait"
        method = self._actor.exchange.options(name=name)
        try:
            method.remote(self._mailbox, [call[2] for call in calls]).future().add_done_callback(self._came)
        except Exception as exc:  # noqa: BLE001  (whatever Ray makes of an actor that is gone)
            self._fail(exc)

    def _came(self, done: Any) -> None:
        if done.cancelled():
            return
        if (error := done.exception()) is not None:
            self._fail(error)
            return
        answers = done.result()
        with self._changed:
            self._open -= 1
            self._expected.difference_update(id for id, _ in answers)
            again = bool(self._expected) and not self._open and not self._closed
        if again:
            self._exchange(())
        for id, answer in answers:
            self._give(id, answer)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
            ids, self._expected = list(self._expected), set()
            self._changed.notify()
        self._lost(ids, error)

    def close_when_idle(self) -> None:
        """Send nothing more; answers come still."""
        with self._changed:
            self._leaving = True
            self._changed.notify()

    def close(self) -> None:
        """Expect nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
