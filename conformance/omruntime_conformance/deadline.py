"""A limit of time for a rule: whatever hangs in the main thread is ended, and every thread's stack is told."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["RuleTimeout", "deadline", "stacks"]

_AGAIN = 15.0
"""Seconds after which what hangs while a timeout is handled is ended as well."""


class RuleTimeout(BaseException):
    """A rule took longer than it may; no `Exception`, so that nobody takes it for one of an engine's own."""


def stacks() -> str:
    """Return the stack of every thread of this process."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():  # noqa: SLF001
        lines = "".join(traceback.format_stack(frame)).rstrip()
        parts.append(f"thread {names.get(ident, 'unknown')}\n{lines}")
    return "\n".join(parts)


@contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Raise `RuleTimeout` in the block when it takes longer, and again where handling that takes long.

    Works in the main thread, which alone can be interrupted; in any other nothing is limited. A timer that somebody
    else has set is put back afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def alarm(_: int, frame: FrameType | None) -> None:
        error = RuleTimeout(f"{what} took longer than {seconds:g} s")
        error.add_note(f"stacks   of every thread\n{stacks()}")
        raise error

    before = signal.signal(signal.SIGALRM, alarm)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)
