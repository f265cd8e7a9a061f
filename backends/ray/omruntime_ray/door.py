"""The door of a station: a Unix socket at which processes of the same user hand in calls, and get the answers."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import ray

from omruntime.worker.channel import Channel, Message, framed
from omruntime_ray.carried import Said

__all__ = ["Door", "Visitor"]

_LONGEST = 100
"""Characters that the name of a socket may have; macOS takes 103."""


class Visitor:
    """A process that has connected.

    Args:
        sock: the connection.

    Attributes:
        mailbox: its name.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.mailbox = ""
        self._socket, self.channel = sock, Channel(sock)
        self._lock = threading.Lock()
        self._answers: list[tuple[str, bytes]] = []
        self._said: list[dict[str, Any]] = []
        self._writing = False
        self._rest = memoryview(b"")

    def give(self, id: str, answer: bytes) -> None:
        """Send an answer, with all that come meanwhile; never waits for a process that does not read."""
        with self._lock:
            self._answers.append((id, answer))
        self._write()

    def say(self, number: int, said: Said) -> None:
        """Send what an order has come to."""
        with self._lock:
            self._said.append({"number": number, "kind": said[0], "value": said[1]})
        self._write()

    def _write(self) -> None:
        with self._lock:
            if self._writing:
                # Whoever writes takes it along.
                return
            self._writing = True
        self._send(socket.MSG_DONTWAIT)

    def _send(self, flags: int) -> None:
        while self._next():
            try:
                self._rest = self._rest[self._socket.send(self._rest, flags) :]
            except BlockingIOError:
                threading.Thread(target=self._send, args=(0,), name="omruntime-ray-rest", daemon=True).start()
                return
            except OSError:
                # It is gone, and its answers are in the ledger.
                self._rest = memoryview(b"")

    def _next(self) -> bool:
        """Have something to send, if there is something."""
        if self._rest:
            return True
        with self._lock:
            answers, self._answers = self._answers, []
            said, self._said = self._said, []
            self._writing = bool(answers or said)
        frames = [frame for each in said for frame in framed("said", each)[1]]
        if answers:
            ids = [id for id, _ in answers]
            frames += framed("answers", {"ids": ids}, [answer for _, answer in answers])[1]
        self._rest = memoryview(b"".join(frames))
        return bool(self._rest)


class Door:
    """Listens for processes of this user on this machine.

    Args:
        handle: called, in a thread of the visitor's, with each message.

    Attributes:
        path: the socket's name; empty where there is none.
    """

    def __init__(self, handle: Callable[[Visitor, Message, list[memoryview]], None]) -> None:
        self._handle = handle
        self._visitors: dict[str, Visitor] = {}
        self.path = _place()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.bind(self.path)
            # Before it listens: nobody else has come in meanwhile.
            os.chmod(self.path, 0o600)
            self._socket.listen(128)
        except OSError:
            self.close()
            return
        threading.Thread(target=self._accept, name="omruntime-ray-door", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(
                target=self._serve, args=(Visitor(sock),), name="omruntime-ray-visitor", daemon=True
            ).start()

    def _serve(self, visitor: Visitor) -> None:
        while (received := visitor.channel.receive()) is not None:
            message, buffers = received
            if message.kind == "hello":
                visitor.mailbox = message.data["mailbox"]
                self._visitors[visitor.mailbox] = visitor
            else:
                self._handle(visitor, message, buffers)
        self._visitors.pop(visitor.mailbox, None)
        visitor.channel.close()

    def visitor(self, mailbox: str) -> Visitor | None:
        """Return the process of a name, if it is here."""
        return self._visitors.get(mailbox)

    def close(self) -> None:
        """Let nobody in any more."""
        with suppress(OSError):
            os.unlink(self.path)
        self.path = ""
        # It wakes up the thread that accepts.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _place() -> str:
    """Return a name for a socket: beside Ray's own, with whose session it goes."""
    name = f"omr-{uuid4().hex[:12]}"
    node = ray._private.worker._global_node  # noqa: SLF001  (there is no public way to the session's folder)
    beside = node.get_sockets_dir_path() if node is not None else ""
    place = os.path.join(beside or tempfile.gettempdir(), name)
    return place if len(place) <= _LONGEST else os.path.join("/tmp", name)
