"""Wakes the thread of an event loop from other threads."""

from __future__ import annotations

import socket

__all__ = ["Bell"]


class Bell:
    """A socket that can be read once somebody has rung, however often, and until it is heard."""

    def __init__(self) -> None:
        self._hears, self._rings = socket.socketpair()
        self._hears.setblocking(False)
        self._rings.setblocking(False)
        self._rung = False

    def fileno(self) -> int:
        """Return what the event loop waits for."""
        return self._hears.fileno()

    def ring(self) -> None:
        """Wake the loop; what was done before this is there when it has heard."""
        if self._rung:
            return
        self._rung = True
        try:
            self._rings.send(b"x")
        except OSError:
            # It is closed, and nobody listens any more.
            return

    def hear(self) -> None:
        """Take note, in the loop's thread; whoever rings from now on is heard again."""
        try:
            self._hears.recv(16)
        except BlockingIOError:
            # The loop was woken for nothing.
            pass
        # After it was read: the other way round, one who rings between the two would never be heard, nor anybody
        # after that.
        self._rung = False

    def close(self) -> None:
        """Close both ends."""
        self._hears.close()
        self._rings.close()
