"""How the conformance suite starts the engine: a scheduler, and a worker process for each slot."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from omruntime_conformance import Harness
from omruntime_conformance.oracle import Waiter
from omruntime_conformance.stores import OnMongoDB

from omruntime.abc import WorkerInfo
from omruntime.errors import OmegaRuntimeError
from omruntime_dask.backend import DaskBackend

__all__ = ["DaskHarness", "DaskMongoHarness", "DaskPrivateHarness"]


class DaskHarness(Harness):
    """Each worker process is a node, and the scheduler is the broker."""

    backend = "dask"
    patience = 2.0

    def __init__(self) -> None:
        self._clusters: list[_Cluster] = []

    @contextmanager
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[str]:
        """Start a scheduler and its workers."""
        cluster = _Cluster(env, self.patience)
        self._clusters.append(cluster)
        try:
            cluster.start(workers)
            yield cluster.url
        finally:
            self._clusters.remove(cluster)
            cluster.close()

    def kill_node(self, worker: WorkerInfo) -> None:
        """Kill a worker process and all that it has started."""
        self._clusters[-1].kill(worker)

    def restart_broker(self) -> None:
        """Kill the scheduler, and start it again."""
        self._clusters[-1].restart()

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have worker processes join and leave."""
        self._clusters[-1].scale(workers)


class DaskMongoHarness(OnMongoDB, DaskHarness):
    """With its stores in MongoDB."""


class DaskPrivateHarness(Harness):
    """A scheduler and a worker of the client's own, as ``OmegaRuntimeDask()`` has them."""

    variant = "private"
    backend = "dask"
    patience = 2.0

    @contextmanager
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[str]:
        """Leave it to the engine."""
        yield "dask://"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Cluster:
    """A scheduler and its worker processes, by their labels."""

    def __init__(self, env: Mapping[str, str], patience: float) -> None:
        self._env, self._wait = env, Waiter(patience)
        self._port = _free_port()
        self.url = f"dask://127.0.0.1:{self._port}"
        self._place = tempfile.TemporaryDirectory(prefix="omruntime-dask-")
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._client: DaskBackend | None = None

    def start(self, workers: Mapping[str, int]) -> None:
        self._start_scheduler()
        self.scale(workers)

    def _start_scheduler(self) -> None:
        command = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(self._port)]
        with (Path(self._place.name) / "scheduler.log").open("ab") as log:
            self._scheduler = subprocess.Popen(
                [sys.executable, *command, "--no-dashboard", "--dashboard-address", "127.0.0.1:0"],
                stdout=log,
                stderr=log,
                cwd=self._place.name,
            )
        self._client = None
        self._wait(self._connected, "the scheduler")

    def _connected(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        self._client = DaskBackend.open(self.url)
        return True

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
        self._wait(lambda: self._count() == expected, f"{expected} workers")

    def _count(self) -> int:
        assert self._client is not None
        try:
            return len(self._client.workers())
        except OmegaRuntimeError:
            return -1

    def _start(self, labels: str) -> subprocess.Popen[bytes]:
        command = ["-m", "omruntime", "worker", "--runtime", self.url, "--label", labels, "--concurrency", "1"]
        own = {"OMRUNTIME_CONFORMANCE_LABEL": labels}
        return subprocess.Popen(
            [sys.executable, *command], env={**os.environ, **self._env, **own}, cwd=self._place.name
        )

    def kill(self, worker: WorkerInfo) -> None:
        table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = {int(pid): int(parent) for pid, parent in map(str.split, table.splitlines())}
        node = parents[worker.pid]
        (process,) = (each for same in self._processes.values() for each in same if each.pid == node)
        process.kill()
        for pid in (pid for pid, parent in parents.items() if parent == node):
            os.kill(pid, signal.SIGKILL)
        process.wait()

    def restart(self) -> None:
        assert self._scheduler is not None
        self._scheduler.kill()
        self._scheduler.wait()
        if self._client is not None:
            self._client.close()
        self._start_scheduler()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        for process in (each for same in self._processes.values() for each in same):
            process.kill()
            process.wait()
        if self._scheduler is not None:
            self._scheduler.kill()
            self._scheduler.wait()
        self._place.cleanup()
