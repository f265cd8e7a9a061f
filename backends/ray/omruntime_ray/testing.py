"""How the conformance suite starts the engine: one Ray, with a namespace of its own for each cluster of the suite."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import ray
from omruntime_conformance import Harness, NotExercised
from omruntime_conformance.oracle import Waiter

from omruntime.abc import WorkerInfo
from omruntime.errors import BackendUnavailable, OmegaRuntimeError
from omruntime_ray.backend import RayBackend
from omruntime_ray.office import OFFICE
from omruntime_ray.reach import knock

__all__ = ["RayClientHarness", "RayHarness", "RayPrivateHarness", "RayServer", "RayWorkersHarness"]

_numbers = count(1)


class RayHarness(Harness):
    """The actors of a pool, each a node; the office, which knows who works, is the broker."""

    backend = "ray"
    patience = 3.0

    def __init__(self) -> None:
        self._clusters: list[_Cluster] = []
        self._server: RayServer | None = None

    def kind(self) -> type[_Cluster]:
        """Return who works."""
        return _Pool

    def address(self, server: RayServer) -> str:
        """Return the address that clients are given."""
        return server.url

    @contextmanager
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[str]:
        """Have workers in a namespace of its own; Ray itself takes long to start, and is started once."""
        if self._server is None:
            self._server = RayServer(env)
            atexit.register(self._server.close)
            self._server.start()
        cluster = self.kind()(f"{self.address(self._server)}/conformance-{next(_numbers)}", env, self.patience)
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
        """Kill the office; Ray starts it again."""
        self._clusters[-1].restart()

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have worker processes join and leave."""
        self._clusters[-1].scale(workers)


class RayWorkersHarness(RayHarness):
    """A process of ``omruntime worker`` for each slot."""

    variant = "omruntime worker"

    def kind(self) -> type[_Cluster]:
        """Return who works."""
        return _Workers


class RayClientHarness(RayHarness):
    """The pool, reached by the server for Ray's clients."""

    variant = "Ray client"

    def address(self, server: RayServer) -> str:
        """Return the address that clients are given."""
        try:
            Waiter(self.patience)(server.takes_clients, "the server for Ray's clients")
        except AssertionError as exc:
            raise NotExercised(f"Ray's server for its clients does not start here: {exc}") from exc
        return server.client_url


class RayPrivateHarness(Harness):
    """A Ray of the client's own, as ``OmegaRuntimeRay()`` has it."""

    variant = "private"
    backend = "ray"
    patience = 3.0

    @contextmanager
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[str]:
        """Leave it to the engine."""
        yield "ray://"


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RayServer:
    """The head of a Ray cluster, in a directory and a home of its own.

    Args:
        env: environment variables for its processes.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="omr-ray-"))
        self.port = free_port()
        self.url = f"ray+gcs://127.0.0.1:{self.port}"
        self._client_port = free_port()
        self.client_url = f"ray://127.0.0.1:{self._client_port}"
        own = {"HOME": str(self.place), "RAY_USAGE_STATS_ENABLED": "0"}
        self._env = {**os.environ, **env, **own}

    def start(self, *options: str) -> None:
        """Start it, and return when it takes drivers."""
        command = ["start", "--head", "--port", str(self.port), "--include-dashboard=false", "--disable-usage-stats"]
        command += ["--temp-dir", str(self.place / "ray"), "--min-worker-port", "0", "--max-worker-port", "0"]
        command += ["--ray-client-server-port", str(self._client_port)]
        said = subprocess.run(
            [sys.executable, "-m", "ray.scripts.scripts", *command, *options],
            env=self._env,
            cwd=self.place,
            capture_output=True,
            text=True,
            check=False,
        )
        if said.returncode:
            raise RuntimeError(f"Ray does not start: {said.stdout}{said.stderr}")

    def takes_clients(self) -> bool:
        """Tell whether its server for Ray's clients answers."""
        try:
            knock("127.0.0.1", self._client_port)
        except BackendUnavailable:
            return False
        return True

    def close(self) -> None:
        """End all its processes."""
        for pid in self._processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        shutil.rmtree(self.place, ignore_errors=True)

    def _processes(self) -> list[int]:
        """Return the processes that have its directory in their command, and those that these have started."""
        table = subprocess.run(
            ["ps", "-Aww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.split(None, 2) for line in table.splitlines()]
        found = [int(row[0]) for row in rows if len(row) == 3 and str(self.place) in row[2]]
        parents = {int(row[0]): int(row[1]) for row in rows}
        mine = set(found)
        while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
            mine |= more
        return sorted(mine - {os.getpid()})


class _Cluster(ABC):
    """Who works in one namespace."""

    def __init__(self, url: str, env: Mapping[str, str], patience: float) -> None:
        self.url, self.env, self.wait = url, env, Waiter(patience)

    @contextmanager
    def client(self) -> Iterator[RayBackend]:
        """Open the engine."""
        client = RayBackend.open(self.url)
        try:
            yield client
        finally:
            client.close()

    @abstractmethod
    def scale(self, workers: Mapping[str, int]) -> None:
        """Have as many slots as it says."""

    @abstractmethod
    def close(self) -> None:
        """End all who work."""

    def kill(self, worker: WorkerInfo) -> None:
        """Kill the process that a worker belongs to, and its runners."""
        parents = _parents()
        node = parents[worker.pid]
        for pid in (node, *(pid for pid, parent in parents.items() if parent == node)):
            os.kill(pid, signal.SIGKILL)

    def restart(self) -> None:
        """Kill the office; Ray starts it again."""
        with self.client():
            ray.kill(ray.get_actor(OFFICE, self.url.rpartition("/")[2]), no_restart=False)


class _Pool(_Cluster):
    """Actors."""

    def scale(self, workers: Mapping[str, int]) -> None:
        RayBackend.open(self.url, workers=workers, env=self.env).close()

    def close(self) -> None:
        with self.client():
            namespace = self.url.rpartition("/")[2]
            for each in ray.util.list_named_actors(all_namespaces=True):
                if each["namespace"] == namespace:
                    ray.kill(ray.get_actor(each["name"], namespace))


class _Workers(_Cluster):
    """Processes, by their labels."""

    def __init__(self, url: str, env: Mapping[str, str], patience: float) -> None:
        super().__init__(url, env, patience)
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}

    def scale(self, workers: Mapping[str, int]) -> None:
        for labels, wanted in workers.items():
            there = self._processes.setdefault(labels, [])
            while len(there) < wanted:
                there.append(self._start(labels))
            for process in there[wanted:]:
                process.send_signal(signal.SIGTERM)
            for process in there[wanted:]:
                process.wait()
            del there[wanted:]
        expected = sum(map(len, self._processes.values()))
        with self.client() as client:
            self.wait(lambda: _count(client) == expected, f"{expected} workers")

    def _start(self, labels: str) -> subprocess.Popen[bytes]:
        command = ["-m", "omruntime", "worker", "--runtime", self.url, "--label", labels, "--concurrency", "1"]
        own = {"OMRUNTIME_CONFORMANCE_LABEL": labels}
        return subprocess.Popen([sys.executable, *command], env={**os.environ, **self.env, **own})

    def kill(self, worker: WorkerInfo) -> None:
        node = _parents()[worker.pid]
        super().kill(worker)
        for process in (each for same in self._processes.values() for each in same if each.pid == node):
            process.wait()

    def close(self) -> None:
        for process in (each for same in self._processes.values() for each in same):
            process.kill()
            process.wait()


def _parents() -> dict[int, int]:
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return {int(pid): int(parent) for pid, parent in map(str.split, table.splitlines())}


def _count(client: RayBackend) -> int:
    try:
        return len(client.workers())
    except OmegaRuntimeError:
        return -1
