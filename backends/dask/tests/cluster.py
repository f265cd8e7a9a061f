"""A real Dask cluster for tests: scheduler and worker processes on free ports of 127.0.0.1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from omruntime import Auth, virtualobj

AUTH = Auth("tests", "a key of these tests, which nobody else has")
LIMIT = 100.0
"""Seconds; a nanny and its worker have taken more than 50 to start on a machine with ten times its work."""


@virtualobj
def echo(data: object = None, gate: str = "", begun: str = "") -> object:
    """Say that it has begun, wait at the gate, where there is one, and return the first argument."""
    import os
    import time
    from pathlib import Path

    if begun:
        Path(begun).touch()
    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    return data


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"never seen: {what}"
        threading.Event().wait(0.02)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class World:
    """A scheduler that can be killed and started again, and whatever works for it."""

    def __init__(self, place: Path) -> None:
        self.place, self.port = place, free_port()
        self.tcp, self.url = f"tcp://127.0.0.1:{self.port}", f"dask://127.0.0.1:{self.port}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.scheduler: subprocess.Popen[bytes] | None = None

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a process that has the key."""
        return {**os.environ, "OMRUNTIME_KEY": AUTH.secret(), "OMRUNTIME_LEASE": "1", **more}

    def run(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a Python module as a program, which logs into a file of its name."""
        with (self.place / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=env or self.environment(),
                stdout=log,
                stderr=log,
                cwd=self.place,
            )
        self._processes.append(process)
        return process

    def said(self, name: str) -> str:
        """Return what a program has logged."""
        return (self.place / f"{name}.log").read_text(errors="replace")

    def start(self, *options: str) -> None:
        """Start the scheduler."""
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        self.scheduler = self.run("scheduler", "distributed.cli.dask_scheduler", *where, *options)
        eventually(lambda: "Scheduler at:" in self.said("scheduler"), "the scheduler")
        eventually(self._listens, "the scheduler's port")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kill_scheduler(self) -> None:
        """Kill the scheduler."""
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()

    def worker(self, label: str = "default", slots: int = 1, **env: str) -> subprocess.Popen[bytes]:
        """Start ``omruntime worker``."""
        command = ("worker", "--runtime", self.url, "--label", label, "--concurrency", str(slots))
        return self.run("worker", "omruntime", *command, env=self.environment(**env))

    def dask_worker(self, *options: str, name: str = "plain", **env: str) -> subprocess.Popen[bytes]:
        """Start ``dask worker``."""
        command = ("distributed.cli.dask_worker", self.tcp, "--no-dashboard", *options)
        return self.run(name, *command, env=self.environment(**env))

    def close(self) -> None:
        """End everything."""
        for process in (*self._processes[1:], *self._processes[:1]):
            # The scheduler at last, so that nobody looks for it.
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
