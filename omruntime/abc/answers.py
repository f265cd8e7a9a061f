"""Answers that come back by name: for engines that carry bytes and have no futures of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from omruntime.abc.carrying import unpack_answer

__all__ = ["Answers"]


Look = Callable[[], Iterable[tuple[str, bytes]]]


class Answers:
    """The futures of calls that have been sent, by names that their answers bear.

    Args:
        look: returns names with answers that have arrived, as `pack_answer` made them. A thread calls it for all of
            them at once, again and again, for as long as somebody waits; None where `give` is called instead.
        interval: seconds between looks.
    """

    def __init__(self, look: Look | None = None, interval: float = 0.005) -> None:
        self._look, self._interval = look, interval
        self._expected: dict[str, Future[bytes]] = {}
        self._condition = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="omruntime-answers", daemon=True)
        if look is not None:
            self._thread.start()

    def expect(self, name: str) -> Future[bytes]:
        """Return the future of a call that is about to be sent; calls of one name that are open have the same."""
        with self._condition:
            if name in self._expected:
                return self._expected[name]
            future: Future[bytes] = Future()
            self._expected[name] = future
            self._condition.notify()
        # Whoever waits may have read the outcome off the ledger, and the answer may never come.
        future.add_done_callback(lambda done: self._expected.pop(name, None))
        return future

    def give(self, name: str, answer: bytes) -> None:
        """Resolve a future; an answer that nobody expects is dropped."""
        future = self._expected.get(name)
        if future is not None:
            unpack_answer(answer, future)

    def _run(self) -> None:
        while True:
            with self._condition:
                # Somebody who closes this wants no more than the end of a pause.
                self._condition.wait_for(lambda: self._closed or self._expected)
                if self._closed or self._condition.wait_for(lambda: self._closed, self._interval):
                    return
            self._collect()

    def _collect(self) -> None:
        for name, answer in self._look() if self._look is not None else ():
            self.give(name, answer)

    def close(self) -> None:
        """Take what has arrived, and refer those who wait still to the ledger; a second call does nothing."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._collect()
        for future in list(self._expected.values()):
            future.set_result(b"")
