"""SIGTERM, which Ray's library takes and drops below Python, and which stays the program's."""

from __future__ import annotations

import ctypes
import signal

__all__ = ["Sigterm"]

_SIGACTION = 1024
"""Bytes that are enough for a system's ``struct sigaction``, which begins with the handler."""
_POINTER = ctypes.sizeof(ctypes.c_void_p)


class Sigterm:
    """What the program wants SIGTERM to do, as Python knows it.

    Ray's library takes the signal in a thread of its own, some milliseconds before or after `ray.init` returns, and
    has it do nothing; it drops it some milliseconds before or after `ray.shutdown` returns: a worker that has come
    back to its cluster would die of it, and of its tasks, where it shall finish them. Make one before Ray begins.
    """

    def __init__(self) -> None:
        self._change = ctypes.CDLL(None).sigaction
        self._before = self._of(signal.SIGTERM) if callable(signal.getsignal(signal.SIGTERM)) else None

    def give_back(self) -> bool:
        """Have the signal do what the program wants; True where it was taken."""
        now, wanted = self._of(signal.SIGTERM), self._wanted()
        if wanted is None or now[:_POINTER] == wanted[:_POINTER]:
            return False
        self._change(signal.SIGTERM, wanted, None)
        return True

    def _wanted(self) -> bytes | None:
        """Return the ``struct sigaction`` that Python has set; None where it cannot be known."""
        handler = signal.getsignal(signal.SIGTERM)
        if callable(handler):
            # Python has one function of C for all signals, and sets them all alike; a program in the background of a
            # shell may have no other one, since SIGINT is ignored there.
            others = signal.valid_signals() - {signal.SIGTERM}
            alike = next((number for number in others if callable(signal.getsignal(number))), None)
            return self._before if alike is None else self._of(alike)
        if handler is None:
            return None
        return int(handler).to_bytes(_POINTER, "little") + bytes(_SIGACTION - _POINTER)

    def _of(self, number: int) -> bytes:
        found = ctypes.create_string_buffer(_SIGACTION)
        self._change(number, None, found)
        return found.raw
