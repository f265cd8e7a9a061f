"""How the conformance suite starts the engine: a directory, and a worker process for each slot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from omruntime_conformance import Harness
from omruntime_conformance.oracle import Waiter

from omruntime.abc import WorkerInfo
from omruntime_spool.backend import SpoolBackend

__all__ = ["SpoolHarness"]

_MEMORY = Path("/dev/shm")
"""A file system that does not wait for a disk, where there is one."""


class SpoolHarness(Harness):
    """Each worker process is a node, and the directory of calls is the broker."""

    backend = "spool"
    patience = 2.0

    def __init__(self) -> None:
        self._clusters: list[_Workers] = []

    @contextmanager
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[str]:
        """Start workers on a fresh directory."""
        with tempfile.TemporaryDirectory(prefix="spool-", dir=_MEMORY if _MEMORY.is_dir() else None) as root:
            cluster = _Workers(Path(root).resolve(), env, self.patience)
            self._clusters.append(cluster)
            try:
                cluster.scale(workers)
                yield cluster.url
            finally:
                self._clusters.remove(cluster)
                cluster.close()

    def kill_node(self, worker: WorkerInfo) -> None:
        """Kill a worker process and all that it has started."""
        self._clusters[-1].kill(worker)

    def restart_broker(self) -> None:
        """Lose all calls that wait in the directory."""
        queue = self._clusters[-1].root / "queue"
        shutil.rmtree(queue)
        queue.mkdir()

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have worker processes join and leave."""
        self._clusters[-1].scale(workers)


class _Workers:
    """The worker processes of one directory, by their labels."""

    def __init__(self, root: Path, env: Mapping[str, str], patience: float) -> None:
        self.root, self.url, self._env, self._wait = root, f"spool://{root}", env, Waiter(patience)
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._client = SpoolBackend.open(self.url)

    def scale(self, workers: Mapping[str, int]) -> None:
        for labels, count in workers.items():
            there = self._processes.setdefault(labels, [])
            while len(there) < count:
                there.append(self._start(labels))
            for process in there[count:]:
                process.send_signal(signal.SIGTERM)
            for process in there[count:]:
                process.wait()
            del there[count:]
        expected = sum(map(len, self._processes.values()))
        self._wait(lambda: len(self._client.workers()) == expected, f"{expected} workers")

    def _start(self, labels: str) -> subprocess.Popen[bytes]:
        command = ["-m", "omruntime", "worker", "--runtime", self.url, "--label", labels, "--concurrency", "1"]
        own = {"OMRUNTIME_CONFORMANCE_LABEL": labels}
        return subprocess.Popen([sys.executable, *command], env={**os.environ, **self._env, **own})

    def kill(self, worker: WorkerInfo) -> None:
        table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = {int(pid): int(parent) for pid, parent in map(str.split, table.splitlines())}
        node = parents[worker.pid]
        (process,) = (each for same in self._processes.values() for each in same if each.pid == node)
        process.kill()
        for pid in (pid for pid, parent in parents.items() if parent == node):
            os.kill(pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        self._client.close()
        for process in (each for same in self._processes.values() for each in same):
            process.kill()
            process.wait()
