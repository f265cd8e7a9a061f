"""What the tests of this engine work with: a Redis with a password, and workers of both sorts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from omruntime_celery import OmegaRuntimeCelery
from omruntime_celery.servers import RedisServer

LIMIT = 60.0
SECRET = "s3cret:of/the?broker"
QUOTED = "s3cret%3Aof%2Fthe%3Fbroker"


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"never seen: {what}"
        threading.Event().wait(0.01)


class Redis(RedisServer):
    """A Redis that asks for a password."""

    def __init__(self, *more: str) -> None:
        super().__init__()
        self._more = more

    @property
    def address(self) -> str:
        """As Celery has it."""
        return f"redis://:{QUOTED}@127.0.0.1:{self.port}/0"

    @property
    def url(self) -> str:
        return f"celery+{self.address}"

    def _command(self) -> list[str]:
        return [*super()._command(), "--requirepass", SECRET, *self._more]


class Worker:
    """A worker process and what it has said."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.path = log
        with log.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, *command], env={**os.environ, **env}, stdout=said, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> str:
        return self.path.read_text(errors="replace")

    def hears(self, text: str) -> None:
        eventually(lambda: text in self.said or self.process.poll() is not None, f"{text!r} in {self.said}")
        assert text in self.said

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Workers(Protocol):
    """Starts a worker, and returns when its labels are seen."""

    def __call__(
        self,
        url: str,
        *options: str,
        module: str = "",
        env: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> Worker: ...


@contextmanager
def starting(directory: Path) -> Iterator[Workers]:
    """Have workers started, and all of them ended."""
    started: list[Worker] = []

    def start(
        url: str, *options: str, module: str = "", env: Mapping[str, str] | None = None, wait: bool = True
    ) -> Worker:
        command = ["-m", "celery", "-A", module, "worker"] if module else ["-m", "omruntime", "worker"]
        before = _labels(url) if wait else 0
        environment = {"OMRUNTIME_RUNTIME": url, "OMRUNTIME_LEASE": "2", **(env or {})}
        worker = Worker([*command, *options], environment, directory / f"worker-{len(started)}.log")
        started.append(worker)
        if wait:
            eventually(lambda: _labels(url) > before or worker.process.poll() is not None, "a worker")
            assert worker.process.poll() is None, worker.said
        return worker

    try:
        yield start
    finally:
        for worker in started:
            worker.close()


def _labels(url: str) -> int:
    with OmegaRuntimeCelery(url) as runtime:
        return len(runtime.labels())
