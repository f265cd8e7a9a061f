"""The line from a process to one actor: calls go in groups, and each message back brings all answers there are."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from time import monotonic
from typing import Any

from omruntime_ray.carried import Sent, packed_calls
from omruntime_ray.connection import questions
from omruntime_ray.desk import Answered, unpacked_answers
from omruntime_ray.mailbox import AnyLine, Mailbox

__all__ = ["Line"]

_MOMENT = 0.0005
"""Seconds after a message in which the next calls are gathered."""

_FEW = 16
_LINGER = 0.002
"""Seconds for which an answer waits for others, where more than a few are open."""
_NAMES = 200
_LOOK = 1.0
"""Seconds after which somebody who reads looks whether the line was closed."""


class Line(AnyLine):
    """Sends calls to one actor and gives their answers.

    A call goes at once, unless others went a moment ago: then with those that have come meanwhile. A message is
    answered as soon as any call of this process has ended: so one is open for as long as somebody waits, and a
    round trip takes one message.

    Args:
        actor: handle of the actor, which has ``exchange(mailbox, calls)``.
        mailbox: of this process.
    """

    def __init__(self, actor: Any, mailbox: Mailbox) -> None:
        super().__init__(mailbox)
        self._actor = actor
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._queue: list[Sent] = []
        self._open: deque[Future[bytes]] = deque()
        """The message that is answered when there is something, if there is one."""
        self._sent = 0.0
        self._methods: dict[tuple[str, str], Any] = {}
        self._threads: list[threading.Thread] = []

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
                self._changed.notify_all()
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
        if not self._threads:
            for act in (self._send_what_comes, self._read):
                self._threads.append(threading.Thread(target=act, name="omruntime-ray-line", daemon=True))
                self._threads[-1].start()

    def _send_what_comes(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self.is_closed)
                if self._closed or not self._queue:
                    return
                calls, self._queue = self._queue, []
            self._exchange(calls)

    def _exchange(self, calls: Sequence[Sent]) -> None:
        name = calls[0][1] if calls else "wait"
        try:
            with self._sending:
                self._sent = monotonic()
                taken = packed_calls([call[2] for call in calls]) if calls else b""
                if self._open:
                    # The answers come with the one that is open.
                    self._named("take", name).remote(self._mailbox.name, taken)
                    return
                linger = _LINGER if len(self._expected) > _FEW else 0.0
                message = self._named("exchange", name).remote(self._mailbox.name, taken, linger)
                with self._changed:
                    self._open.append(questions().follow(message.future()))
                    self._start()
                    self._changed.notify_all()
        except Exception as exc:  # noqa: BLE001  (whatever Ray makes of an actor that is gone)
            self._fail(exc)

    def _named(self, method: str, name: str) -> Any:
        """Return a method of the actor, named for Ray's dashboard: to make one takes as long as to call it."""
        found = self._methods.get((method, name))
        if found is None:
            if len(self._methods) >= _NAMES:
                self._methods.clear()
            found = self._methods[method, name] = getattr(self._actor, method).options(name=name)
        return found

    def _read(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._open or self._closed)
                if self._closed:
                    return
                message = self._open[0]
            if not wait([message], _LOOK).done:
                continue
            try:
                answers = unpacked_answers(message.result())
            except Exception as exc:  # noqa: BLE001  (whatever Ray makes of an actor that is gone)
                self._fail(exc)
                return
            self._take(answers)

    def _take(self, answers: Answered) -> None:
        with self._sending, self._changed:
            self._open.popleft()
            self._expected.difference_update(id for id, _ in answers)
            again = bool(self._expected) and not self._closed
        if again:
            self._exchange(())
        for id, answer in answers:
            self._mailbox.give(id, answer)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
            ids, self._expected = list(self._expected), set()
            self._changed.notify_all()
        self._mailbox.lost(ids, error)

    def close_when_idle(self) -> None:
        """Send nothing more; answers come still."""
        with self._changed:
            self._leaving = True
            self._changed.notify_all()

    def close(self) -> None:
        """Expect nothing any more."""
        with self._changed:
            self._closed = True
            waits = bool(self._open)
            self._changed.notify_all()
        if waits:
            try:
                self._actor.let_go.remote(self._mailbox.name)
            except Exception:  # noqa: BLE001  (it is gone; the thread that reads finds that out)
                pass
        for thread in self._threads:
            thread.join()
