"""The engine: calls are files in a directory, and so are answers; files appear and change hands by renaming them.

    queue/=<label>/<call>         calls that nobody has taken yet
    members/<id>/lock             locked by a client or a worker for as long as its process lives
    members/<id>/workers          who works in this process
    members/<id>/answers/<call>   answers that this process has not read yet
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import msgspec

from omruntime.abc import Answers, Backend, Call, Capability, WorkerHost, WorkerInfo, pack_call
from omruntime.errors import BackendUnavailable
from omruntime_spool.errors import translated
from omruntime_spool.worker import TICK, work

__all__ = ["SpoolBackend"]


class SpoolBackend(Backend):
    """Sends calls through a directory to the worker processes that watch it."""

    name = "spool"
    schemes = ("spool",)
    capabilities = frozenset(Capability)

    def __init__(self, root: Path) -> None:
        self.address, self._queue, self._members = f"spool://{root}", root / "queue", root / "members"
        self._mine = self._members / uuid.uuid4().hex
        hidden = self._mine.with_name(f".{self._mine.name}")
        (hidden / "answers").mkdir(parents=True)
        self._lock = (hidden / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Nobody sees it before it is locked, or it could be taken for that of a process which is gone.
        hidden.rename(self._mine)
        self._answers = Answers(self._look, TICK)

    @classmethod
    @translated
    def open(cls, url: str, **options: Any) -> Self:
        """Take part in a directory."""
        root = Path(url.partition("://")[2]).resolve()
        if not root.is_dir():
            raise BackendUnavailable(f"there is no directory {root}; make it, or name another one")
        return cls(root)

    @classmethod
    @contextmanager
    def private(cls) -> Iterator[str]:
        """Have a directory of our own."""
        with tempfile.TemporaryDirectory(prefix="omruntime-spool-") as root:
            yield f"spool://{root}"

    def submit(self, call: Call) -> Future[bytes]:
        """Put a call where a worker of its label finds it."""
        name = f"{time.time_ns():020}.{call.id}.{self._mine.name}"
        future = self._answers.expect(name)
        self._put(name, call)
        return future

    def forward(self, call: Call) -> None:
        """Put a call there whose answer nobody wants."""
        self._put(f"{time.time_ns():020}.{call.id}.", call)

    @translated
    def _put(self, name: str, call: Call) -> None:
        waiting = self._queue / f"={quote(call.label, safe='')}"
        waiting.mkdir(parents=True, exist_ok=True)
        self._write(waiting / name, pack_call(call))

    def _write(self, path: Path, content: bytes) -> None:
        draft = self._mine / f".{path.name}"
        draft.write_bytes(content)
        draft.rename(path)

    def _answer(self, name: str, answer: bytes) -> None:
        with suppress(FileNotFoundError):
            self._write(self._members / name.rpartition(".")[2] / "answers" / name, answer)

    def _look(self) -> Iterator[tuple[str, bytes]]:
        for answer in (self._mine / "answers").iterdir():
            yield answer.name, answer.read_bytes()
            answer.unlink()

    @translated
    def workers(self) -> list[WorkerInfo]:
        """List the workers of all processes that live, and clear away those that do not."""
        found: list[WorkerInfo] = []
        for member in self._members.glob("[!.]*"):
            with suppress(FileNotFoundError), (member / "lock").open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    shutil.rmtree(member)
                except BlockingIOError:
                    found += msgspec.json.decode((member / "workers").read_bytes(), type=list[WorkerInfo])
        return found

    @translated
    def announce(self, workers: Sequence[WorkerInfo]) -> None:
        """Write down who works in this process."""
        self._write(self._mine / "workers", msgspec.json.encode(workers))

    @translated
    def work(self, host: WorkerHost, stop: threading.Event) -> None:
        """Take calls from the directory until ``stop`` is set."""
        work(self._queue, self._mine, host, stop, self._answer)

    @translated
    def incarnation(self) -> str:
        """Name the present life of the queue: one that was lost and made again has another."""
        self._queue.mkdir(exist_ok=True)
        with (self._queue / ".life").open("a") as file:
            found = os.fstat(file.fileno())
        return f"{found.st_ino}-{found.st_mtime_ns}"

    def close(self) -> None:
        """Leave the directory."""
        self._answers.close()
        shutil.rmtree(self._mine, ignore_errors=True)
        self._lock.close()
