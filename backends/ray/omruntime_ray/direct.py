"""The direct line: a Unix socket to an actor of the same user on the same machine, instead of Ray's calls."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from itertools import count
from typing import Any

from omruntime.errors import BackendUnavailable
from omruntime.worker.channel import Channel
from omruntime_ray.carried import Said, Sent, packed_calls
from omruntime_ray.mailbox import AnyLine, Mailbox

__all__ = ["DirectLine", "connected"]


def connected(door: str) -> socket.socket | None:
    """Return a connection to the door of a station; None where this machine has none, or none for this user."""
    if not door or not os.path.exists(door):
        return None
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(door)
    except OSError:
        sock.close()
        return None
    return sock


class DirectLine(AnyLine):
    """Sends calls to one station and gives their answers.

    Args:
        sock: connected to the station's door.
        mailbox: of this process.
    """

    def __init__(self, sock: socket.socket, mailbox: Mailbox) -> None:
        super().__init__(mailbox)
        self._channel = Channel(sock)
        self._lock = threading.Lock()
        self._asked: dict[int, Future[Said]] = {}
        self._numbers = count(1)
        self._channel.send("hello", {"mailbox": mailbox.name})
        self._thread = threading.Thread(target=self._read, name="omruntime-ray-line", daemon=True)
        self._thread.start()

    def send(self, calls: Sequence[Sent]) -> bool:
        """Send calls; False where the line is closed, and they were not sent."""
        with self._lock:
            if self.is_closed:
                return False
            self._expected.update(call[0] for call in calls)
        self._post("calls", {"answer": True}, packed_calls([call[2] for call in calls]))
        return True

    def forward(self, packed: bytes) -> None:
        """Send calls whose answers nobody waits for."""
        self._post("calls", {"answer": False}, packed)

    def expect(self, id: str) -> None:
        """Expect an answer of this name, though no call is sent for it."""
        with self._lock:
            self._expected.add(id)

    def ask(self, order: str, data: Mapping[str, Any], limit: float | None = None) -> Said:
        """Have the station do something, and return what that has come to.

        Raises:
            BackendUnavailable: the station is gone, or has not answered within ``limit`` seconds.
        """
        said: Future[Said] = Future()
        with self._lock:
            number = next(self._numbers)
            if self._closed:
                raise BackendUnavailable(_GONE)
            self._asked[number] = said
        self._post(order, {"number": number, **data})
        try:
            return said.result(limit)
        except TimeoutError as exc:
            raise BackendUnavailable(
                f"the actor that runs this program's tasks has not answered within {limit} s"
            ) from exc

    def _post(self, kind: str, data: dict[str, Any], packed: bytes = b"") -> None:
        try:
            self._channel.send(kind, data, (packed,) if packed else ())
        except OSError as exc:
            self._fail(exc)

    def _read(self) -> None:
        while (received := self._channel.receive()) is not None:
            message, buffers = received
            if message.kind == "answers":
                ids = message.data["ids"]
                with self._lock:
                    self._expected.difference_update(ids)
                for id, answer in zip(ids, buffers, strict=True):
                    self._mailbox.give(id, bytes(answer))
            elif (said := self._asked.pop(message.data["number"], None)) is not None:
                said.set_result((message.data["kind"], message.data["value"]))
        self._fail(ConnectionResetError(_GONE))
        self._channel.close()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            ids, self._expected = list(self._expected), set()
            asked, self._asked = list(self._asked.values()), {}
        for said in asked:
            said.set_exception(BackendUnavailable(_GONE))
        self._mailbox.lost(ids, error)

    def close_when_idle(self) -> None:
        """Send nothing more; answers come still."""
        self._leaving = True

    def close(self) -> None:
        """Expect nothing any more."""
        with self._lock:
            self._closed = True
        self._channel.shutdown()
        self._thread.join()


_GONE = "the actor that has run this program's tasks is gone; see its log in Ray's, worker-*.err"
