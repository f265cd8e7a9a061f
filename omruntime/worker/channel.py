"""Messages between a host and its runner: lists of buffers over a socket pair, kind and plain data first."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from omruntime.abc import Buffer

__all__ = ["Channel", "Message", "framed"]

_COUNT = struct.Struct("<I")
_CHUNK = 1 << 16
_TURN = 0.05
"""Seconds that a message which may be dropped waits for its turn."""
_packer = msgspec.msgpack.Encoder()


class Message(msgspec.Struct, array_like=True, frozen=True):
    """What a message says."""

    kind: str
    """``config``, ``task``, ``stop``, ``reply``, ``told``, ``refused`` from the host; ``ready``, ``outcome``,
    ``kept``, ``submit``, ``cancel``, ``ask``, ``wait``, ``resume`` to it.
    """
    data: dict[str, Any]


_messages = msgspec.msgpack.Decoder(Message)


class Channel:
    """One end of the socket pair: `send` from any thread, `receive` from one."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = threading.Lock()
        self._ahead = b""

    def send(self, kind: str, data: dict[str, Any], buffers: Sequence[Buffer] = ()) -> None:
        """Send one message.

        Raises:
            OSError: the other end is gone.
        """
        size, frames = framed(kind, data, buffers)
        with self._sending:
            if size < _CHUNK:
                self._socket.sendall(b"".join(frames))
            else:
                for frame in frames:
                    self._socket.sendall(frame)

    def try_send(self, kind: str, data: dict[str, Any], buffers: Sequence[Buffer] = ()) -> bool:
        """Send a message if it is small and the other end keeps up with reading; False when it was not sent."""
        size, frames = framed(kind, data, buffers)
        if size >= _CHUNK or not self._sending.acquire(timeout=_TURN):
            return False
        try:
            message = b"".join(frames)
            sent = self._socket.send(message, socket.MSG_DONTWAIT)
            if sent < len(message):
                self._socket.sendall(message[sent:])
        except OSError:
            return False
        finally:
            self._sending.release()
        return True

    def receive(self) -> tuple[Message, list[memoryview]] | None:
        """Wait for a message; None when the other end is gone."""
        try:
            count_bytes = self._exactly(_COUNT.size)
            if count_bytes is None:
                return None
            (count,) = _COUNT.unpack(count_bytes)
            sizes_bytes = self._exactly(8 * count)
            if sizes_bytes is None:
                return None
            sizes = struct.unpack(f"<{count}Q", sizes_bytes)
            body = self._exactly(sum(sizes))
        except OSError:
            return None
        if body is None:
            return None
        whole = memoryview(body)
        frames: list[memoryview] = []
        start = 0
        for size in sizes:
            frames.append(whole[start : start + size])
            start += size
        return _messages.decode(frames[0]), frames[1:]

    def _exactly(self, size: int) -> bytearray | None:
        """Return the next ``size`` bytes, writable; None at the end of the stream."""
        if len(self._ahead) < size <= _CHUNK:
            self._fill(size)
        if len(self._ahead) >= size:
            taken = bytearray(self._ahead[:size])
            self._ahead = self._ahead[size:]
            return taken
        if size <= _CHUNK:
            return None
        taken = bytearray(size)
        view = memoryview(taken)
        done = len(self._ahead)
        view[:done] = self._ahead
        self._ahead = b""
        while done < size:
            got = self._socket.recv_into(view[done:])
            if not got:
                return None
            done += got
        return taken

    def _fill(self, size: int) -> None:
        while len(self._ahead) < size:
            more = self._socket.recv(_CHUNK)
            if not more:
                return
            self._ahead = self._ahead + more if self._ahead else more

    def shutdown(self) -> None:
        """Wake up whoever waits in `receive`, on both ends."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The other end was faster.
            return

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def framed(kind: str, data: dict[str, Any], buffers: Sequence[Buffer] = ()) -> tuple[int, list[Buffer]]:
    """Return the size of a message and what to send one after the other."""
    frames = [_packer.encode(Message(kind, data)), *buffers]
    sizes = [memoryview(frame).nbytes for frame in frames]
    return sum(sizes), [struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes), *frames]
