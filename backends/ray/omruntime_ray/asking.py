"""Questions to a cluster that may go away while they are open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import ray

from omruntime.errors import BackendUnavailable

__all__ = ["Questions"]

Answer = TypeVar("Answer")


class Questions:
    """What is open at a cluster; all of it is over when `end` is called.

    Ray answers nothing any more after `ray.shutdown`: a thread that asks the GCS at that moment, for the handle of an
    actor say, waits in Ray's library for ever; so may one that is in `ray.get` then, whatever its limit; and futures
    of calls may stay as they are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[Future[Any]] = set()
        self._is_over = False

    def ask(self, question: Callable[[], Answer], limit: float) -> Answer:
        """Return what a question is answered, which is asked in a thread of its own.

        Raises:
            BackendUnavailable: the cluster has gone, or has not answered within ``limit`` seconds.
        """
        answer: Future[Answer] = self._opened()
        asking = threading.Thread(target=_find, args=(answer, question), name="omruntime-ray-question", daemon=True)
        asking.start()
        try:
            return answer.result(limit)
        except TimeoutError:
            if answer.done():
                raise
            raise BackendUnavailable(f"the Ray cluster has not answered within {limit:.0f} s") from None

    def follow(self, asked: Future[Answer]) -> Future[Answer]:
        """Return a future with the outcome of one of Ray's; it raises BackendUnavailable where the cluster goes."""
        answer: Future[Answer] = self._opened()
        asked.add_done_callback(partial(_find, answer, asked.result))
        return answer

    def value(self, asked: Any, limit: float) -> Any:
        """Return the value of one of Ray's objects: as `ray.get`, which may wait for ever where the cluster goes.

        Args:
            asked: the reference that a call of an actor has returned.
            limit: seconds.

        Raises:
            BackendUnavailable: the cluster has gone.
            ray.exceptions.GetTimeoutError: there is no value after ``limit`` seconds.
        """
        answer: Future[Any] = self.follow(asked.future())
        try:
            return answer.result(limit)
        except TimeoutError as exc:
            if not answer.cancel():
                raise
            raise ray.exceptions.GetTimeoutError(f"no answer within {limit:.1f} s") from exc

    def _opened(self) -> Future[Any]:
        answer: Future[Any] = Future()
        with self._lock:
            if self._is_over:
                raise _gone()
            self._open.add(answer)
        answer.add_done_callback(self._open.discard)
        return answer

    def end(self) -> None:
        """Have whoever waits told that the cluster has gone."""
        with self._lock:
            self._is_over = True
        for answer in list(self._open):
            with suppress(InvalidStateError):
                answer.set_exception(_gone())


def _find(answer: Future[Answer], question: Callable[[], Answer], asked: object = None) -> None:
    try:
        found = question()
    except BaseException as exc:  # noqa: BLE001  (whoever waits gets it)
        with suppress(InvalidStateError):
            answer.set_exception(exc)
    else:
        with suppress(InvalidStateError):
            answer.set_result(found)


def _gone() -> BackendUnavailable:
    return BackendUnavailable("the Ray cluster has gone; what is recorded runs when it is back")
