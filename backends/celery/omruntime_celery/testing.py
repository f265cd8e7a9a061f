"""How the conformance suite starts the engine: a broker, and a process of Celery's worker for each slot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from omruntime_conformance import Harness, NotExercised
from omruntime_conformance.oracle import Waiter
from omruntime_conformance.stores import OnMongoDB

from omruntime import Auth
from omruntime.abc import WorkerInfo
from omruntime.errors import OmegaRuntimeError
from omruntime_celery.backend import CeleryBackend
from omruntime_celery.servers import RabbitServer, RedisServer, Server, system_program

__all__ = [
    "CeleryAppendHarness",
    "CeleryHarness",
    "CeleryMongoHarness",
    "CeleryPrivateHarness",
    "CeleryRabbitHarness",
    "CeleryRedis7Harness",
]


class CeleryHarness(Harness):
    """Each worker process is a node; the broker is a Redis that remembers nothing."""

    backend = "celery"
    patience = 3.0

    def __init__(self) -> None:
        self._clusters: list[_Cluster] = []

    def server(self) -> Server:
        """Return a broker that has not been started."""
        return RedisServer()

    @contextmanager
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[str]:
        """Start workers on a fresh broker."""
        cluster = _Cluster(self.server(), env, self.patience)
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
        """Kill the broker, and start it again."""
        self._clusters[-1].restart()

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have worker processes join and leave."""
        self._clusters[-1].scale(workers)


class CeleryAppendHarness(CeleryHarness):
    """On a Redis that finds its queues again."""

    variant = "Redis with an append-only file"

    def server(self) -> Server:
        """Return a broker that has not been started."""
        return RedisServer(append=True)


class CeleryRedis7Harness(CeleryHarness):
    """On the Redis that the system's packages have installed, which is 7 where the wheel has 6.2."""

    variant = "Redis of the system"

    def server(self) -> Server:
        """Return a broker that has not been started."""
        return RedisServer(_installed("redis-server"))


class CeleryRabbitHarness(CeleryHarness):
    """On RabbitMQ."""

    variant = "RabbitMQ"

    def server(self) -> Server:
        """Return a broker that has not been started."""
        _installed("rabbitmq-server")
        return RabbitServer()


class CeleryMongoHarness(OnMongoDB, CeleryHarness):
    """With its stores in MongoDB."""


def _installed(name: str) -> str:
    program = system_program(name)
    if program is None:
        raise NotExercised(f"there is no {name} on this machine; install it: apt-get install {name}")
    return program


class CeleryPrivateHarness(Harness):
    """A Redis and a worker of the client's own, as ``OmegaRuntimeCelery()`` has them."""

    variant = "private"
    backend = "celery"
    patience = 3.0

    @contextmanager
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[str]:
        """Leave it to the engine."""
        yield "celery://"


class _Cluster:
    """A broker and its worker processes, by their labels."""

    def __init__(self, server: Server, env: Mapping[str, str], patience: float) -> None:
        self._server, self._env, self._wait = server, env, Waiter(patience)
        self.url = server.url
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._client: CeleryBackend | None = None

    def start(self, workers: Mapping[str, int]) -> None:
        self._server.start()
        self._client = CeleryBackend.open(self.url, auth=Auth("harness", "of no use"))
        self.scale(workers)

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

    def restart(self) -> None:
        self._server.kill()
        self._server.start()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        for process in (each for same in self._processes.values() for each in same):
            process.kill()
            process.wait()
        self._server.close()
