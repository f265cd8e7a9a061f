"""The engine: calls and answers are files in a directory, which appear and change hands by being renamed.

queue/=<label>/<call>         calls that nobody has taken yet
members/<id>/lock             locked by a client or a worker for as long as its process lives
members/<id>/workers          who works in this process
members/<id>/answers/<call>   answers that this process has not read yet
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import Self
from urllib.parse import quote, unquote

import msgspec

from omruntime.abc import Answers, Backend, Call, Capability, WorkerHost, WorkerInfo, pack_call
from omruntime_spool.errors import ERRORS


class SpoolBackend(Backend):
    """Sends calls through a directory to the worker processes that watch it."""

    name = "spool"
    capabilities = frozenset(Capability)
    errors = ERRORS

    def __init__(self, root: Path) -> None:
        self.address, self._queue, self._members = f"spool://{root}", root / "queue", root / "members"
        self._queue.mkdir(exist_ok=True)
        self._members.mkdir(exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=".", dir=self._members))
        (hidden / "answers").mkdir()
        self._lock = (hidden / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Nobody sees it before it is locked, or it could be taken for that of a process which is gone.
        self._mine = hidden.rename(self._members / hidden.name[1:])
        self._answers, self._seen = Answers(self._look), dict[Path, list[str]]()

    @classmethod
    def open(cls, url: str, **options: object) -> Self:
        """Take part in a directory."""
        if options.keys() - {"auth"}:
            raise TypeError(f"{url} takes no {', '.join(options.keys() - {'auth'})}")
        return cls(Path(url.partition("://")[2]).resolve())

    @classmethod
    @contextmanager
    def private(cls) -> Iterator[str]:
        """Have a directory of our own."""
        with tempfile.TemporaryDirectory(prefix="omruntime-spool-") as root:
            yield f"spool://{root}"

    def submit(self, call: Call) -> Future[bytes]:
        """Put a call where a worker of its label finds it."""
        future = self._answers.expect(f"{call.id}.{self._mine.name}")
        self.forward(call, answer_to=self._mine.name)
        return future

    def forward(self, call: Call, answer_to: str = "") -> None:
        """Put a call there whose answer nobody waits for in this process."""
        waiting = self._queue / f"={quote(call.label, safe='')}"
        waiting.mkdir(exist_ok=True)
        self._write(waiting / f"{call.id}.{answer_to}", pack_call(call))

    def _write(self, path: Path, content: bytes) -> None:
        draft = self._mine / f".{get_ident()}"
        draft.write_bytes(content)
        draft.rename(path)

    def fetch(self, host: WorkerHost) -> None:
        """Take the oldest calls that the host has room for, and have them answered."""
        for waiting in self._queue.glob("=*"):
            names = self._seen[waiting] = self._seen.get(waiting) or sorted(os.listdir(waiting), reverse=True)
            while names and host.room(unquote(waiting.name[1:])):
                name = names.pop()
                # Where several workers rename one file, one of them succeeds.
                with suppress(FileNotFoundError):
                    call = (waiting / name).rename(self._mine / name)
                    host.deliver(call.read_bytes(), partial(self._answer, name))
                    call.unlink()

    def _answer(self, name: str, answer: bytes) -> None:
        # Whoever has sent the call may be gone.
        with suppress(FileNotFoundError):
            self._write(self._members / name.rpartition(".")[2] / "answers" / name, answer)

    def _look(self) -> Iterator[tuple[str, bytes]]:
        for answer in (self._mine / "answers").iterdir():
            yield answer.name, answer.read_bytes()
            answer.unlink()

    def announce(self, workers: Sequence[WorkerInfo]) -> None:
        """Write down who works in this process."""
        self._write(self._mine / "workers", msgspec.json.encode(workers))

    def workers(self) -> list[WorkerInfo]:
        """List the workers of all processes that live, and clear away what the others have left."""
        found: list[WorkerInfo] = []
        for member in self._members.glob("[!.]*"):
            with suppress(FileNotFoundError), (member / "lock").open() as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    shutil.rmtree(member)
                except BlockingIOError:
                    found += msgspec.json.decode((member / "workers").read_bytes(), type=list[WorkerInfo])
        return found

    def incarnation(self) -> str:
        """Name the present life of the queue: one that was lost and made again has another."""
        with (self._queue / ".life").open("a") as life:
            return "{0.st_ino}-{0.st_mtime_ns}".format(os.fstat(life.fileno()))

    def close(self) -> None:
        """Leave the directory."""
        self._answers.close()
        shutil.rmtree(self._mine, ignore_errors=True)
        self._lock.close()
