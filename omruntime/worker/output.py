"""What tasks print: bounded, cut by task, and read without ever making a runner wait for long."""

from __future__ import annotations

import os
import selectors
import threading

__all__ = ["HEAD_LIMIT", "TAIL_LIMIT", "OutputPipe", "OutputPump"]

HEAD_LIMIT = 16 * 1024
"""Bytes kept from the beginning of a task's output."""
TAIL_LIMIT = 48 * 1024
"""Bytes kept from its end; what lies between is counted and dropped."""
_CHUNK = 1 << 16
_MOST_CHUNKS = 32


class OutputPipe:
    """The read end of the pipe that a runner prints into."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self._lock = threading.Lock()
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def drain(self) -> bool:
        """Take what is in the pipe; False when the runner and all its children have closed it."""
        with self._lock:
            if self.read_end < 0:
                return False
            # More than any pipe holds, and not for ever where somebody prints faster than this reads.
            for _ in range(_MOST_CHUNKS):
                try:
                    chunk = os.read(self.read_end, _CHUNK)
                except BlockingIOError:
                    return True
                if not chunk:
                    return False
                self._keep(chunk)
            return True

    def _keep(self, chunk: bytes) -> None:
        room = HEAD_LIMIT - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        excess = len(self._tail) - TAIL_LIMIT
        if excess > 0:
            del self._tail[:excess]
            self._dropped += excess

    def take(self, unread: bool = True) -> str:
        """Return what was printed since the last call, as text.

        Args:
            unread: False where it is known that nothing is left in the pipe.
        """
        if unread:
            self.drain()
        with self._lock:
            if not self._head:
                return ""
            gap = f"\n[... {self._dropped} bytes left out ...]\n".encode() if self._dropped else b""
            text = bytes(self._head) + gap + bytes(self._tail)
            self._head.clear()
            self._tail.clear()
            self._dropped = 0
        return text.decode("utf-8", "replace")

    def close_write_end(self) -> None:
        """Close our copy of the end that the runner prints into, once it has its own."""
        os.close(self.write_end)

    def close(self) -> None:
        """Close the read end."""
        with self._lock:
            if self.read_end >= 0:
                os.close(self.read_end)
                self.read_end = -1


class OutputPump:
    """One thread that empties the pipes of all runners of a host, so that none blocks on a full one."""

    def __init__(self, name: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._stop = False
        self._thread = threading.Thread(target=self._run, name=f"{name}-output", daemon=True)
        self._thread.start()

    def add(self, pipe: OutputPipe) -> None:
        """Begin to empty a pipe."""
        with self._lock:
            self._selector.register(pipe.read_end, selectors.EVENT_READ, pipe)
        os.write(self._wake_write, b"+")

    def remove(self, pipe: OutputPipe) -> None:
        """Stop emptying a pipe; does nothing when it has ended by itself."""
        with self._lock:
            try:
                self._selector.unregister(pipe.read_end)
            except (KeyError, ValueError):
                return

    def _run(self) -> None:
        while not self._stop:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._wake_read, _CHUNK)
                elif not key.data.drain():
                    self.remove(key.data)

    def close(self) -> None:
        """End the thread."""
        self._stop = True
        os.write(self._wake_write, b".")
        self._thread.join()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
