"""How the conformance suite starts the engine: one Ray, with a namespace of its own for each cluster of the suite."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from typing import ClassVar

import ray
from omruntime_conformance import Harness, NotExercised
from omruntime_conformance.oracle import Waiter
from omruntime_conformance.stores import OnMongoDB

from omruntime.abc import WorkerInfo
from omruntime.errors import OmegaRuntimeError
from omruntime_ray.backend import RayBackend
from omruntime_ray.nodes import descendants, parents
from omruntime_ray.servers import RayServer, free_port

__all__ = [
    "RayClientHarness",
    "RayHarness",
    "RayMongoHarness",
    "RayPrivateHarness",
    "RayServer",
    "RayWorkersHarness",
    "free_port",
]

_numbers = count(1)
_NAMED = {"label:default": 1.0, "label:gpu": 1.0, "label:big": 1.0}


class RayHarness(Harness):
    """The actors of a pool, on a node that has the labels; the GCS, which knows the cluster, is the broker."""

    backend = "ray"
    patience = 3.0
    by_client: ClassVar[bool] = False
    """Clients come by the server for Ray's clients."""

    def __init__(self) -> None:
        self._clusters: list[_Cluster] = []
        self._server: RayServer | None = None
        self._node = ""

    def kind(self) -> type[_Cluster]:
        """Return who works."""
        return _Pool

    def address(self, server: RayServer) -> str:
        """Return the address that clients are given."""
        return server.url

    def started(self, env: Mapping[str, str]) -> RayServer:
        """Return the Ray that all clusters are in: it takes long to start, and is started once."""
        if self._server is None:
            server = RayServer(env, keeps=True, clients=self.by_client)
            atexit.register(server.close)
            try:
                server.start()
                self._node = server.add_node(_NAMED)
            except BaseException:
                server.close()
                raise
            self._server = server
        return self._server

    @contextmanager
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[str]:
        """Have workers in a namespace of its own."""
        server = self.started(env)
        cluster = self.kind()(f"{self.address(server)}/conformance-{next(_numbers)}", env, self.patience)
        self._clusters.append(cluster)
        try:
            cluster.scale(workers)
            yield cluster.url
        finally:
            self._clusters.remove(cluster)
            cluster.close()

    def kill_node(self, worker: WorkerInfo) -> None:
        """Kill the node of a worker with all its processes; another one that has its labels is there by then."""
        server, lost = self._running(), self._node
        self._node = server.add_node(_NAMED)
        server.kill_node(lost)
        self._await_others()

    def restart_broker(self) -> None:
        """Kill the GCS, and start it again with what it keeps on its disk."""
        self._running().restart_gcs()
        self._await_others()

    def close(self) -> None:
        """End the Ray of all clusters; whoever does not call it has it for as long as this process lives."""
        if self._server is not None:
            atexit.unregister(self._server.close)
            self._server.close()
            self._server = None

    def _running(self) -> RayServer:
        assert self._server is not None
        return self._server

    def _await_others(self) -> None:
        """Wait until the clusters of other rules, which are in the same Ray, are as they were."""
        for cluster in self._clusters[:-1]:
            cluster.settle()


class RayMongoHarness(OnMongoDB, RayHarness):
    """With its stores in MongoDB."""


class RayWorkersHarness(RayHarness):
    """A process of ``omruntime worker`` for each slot."""

    variant = "omruntime worker"

    def kind(self) -> type[_Cluster]:
        """Return who works."""
        return _Workers

    def kill_node(self, worker: WorkerInfo) -> None:
        """Kill a worker process, and all that it has started."""
        cluster = self._clusters[-1]
        assert isinstance(cluster, _Workers)
        cluster.kill(worker)

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have worker processes join and leave: the engine's own `scale` is about its pool."""
        self._clusters[-1].scale(workers)


class RayClientHarness(RayHarness):
    """The pool, reached by the server for Ray's clients."""

    variant = "Ray client"
    by_client = True

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


class _Cluster(ABC):
    """Who works in one namespace."""

    def __init__(self, url: str, env: Mapping[str, str], patience: float) -> None:
        self.url, self.env, self.wait = url, env, Waiter(patience)
        self._wanted: dict[str, int] = {}

    @contextmanager
    def client(self) -> Iterator[RayBackend]:
        """Open the engine."""
        client = RayBackend.open(self.url)
        try:
            yield client
        finally:
            client.close()

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have as many slots as it says."""
        self.start(workers)
        self._wanted |= workers
        self.settle()

    def settle(self) -> None:
        """Wait until all are there who shall be."""
        expected = sum(self._wanted.values())
        with self.client() as client:
            self.wait(lambda: _count(client) == expected, f"{expected} workers")

    @abstractmethod
    def start(self, workers: Mapping[str, int]) -> None:
        """Start and end whoever works."""

    @abstractmethod
    def close(self) -> None:
        """End all who work."""


class _Pool(_Cluster):
    """Actors."""

    def start(self, workers: Mapping[str, int]) -> None:
        RayBackend.open(self.url, workers=workers, env=self.env).close()

    def close(self) -> None:
        with self.client():
            namespace = self.url.rpartition("/")[2]
            for each in ray.util.list_named_actors(all_namespaces=True):
                if each["namespace"] == namespace:
                    # One that leaves may be gone by now.
                    with suppress(ValueError):
                        ray.kill(ray.get_actor(each["name"], namespace))


class _Workers(_Cluster):
    """Processes, by their labels."""

    def __init__(self, url: str, env: Mapping[str, str], patience: float) -> None:
        super().__init__(url, env, patience)
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}

    def start(self, workers: Mapping[str, int]) -> None:
        for labels, wanted in workers.items():
            there = self._processes.setdefault(labels, [])
            while len(there) < wanted:
                there.append(self._start(labels))
            for process in there[wanted:]:
                process.send_signal(signal.SIGTERM)
            for process in there[wanted:]:
                process.wait()
            del there[wanted:]

    def _start(self, labels: str) -> subprocess.Popen[bytes]:
        command = ["-m", "omruntime", "worker", "--runtime", self.url, "--label", labels, "--concurrency", "1"]
        own = {"OMRUNTIME_CONFORMANCE_LABEL": labels}
        return subprocess.Popen([sys.executable, *command], env={**os.environ, **self.env, **own})

    def kill(self, worker: WorkerInfo) -> None:
        """Kill the process that a worker belongs to, and its runners."""
        node = parents()[worker.pid]
        (process,) = (each for same in self._processes.values() for each in same if each.pid == node)
        for pid in descendants([node]):
            os.kill(pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for process in (each for same in self._processes.values() for each in same):
            process.kill()
            process.wait()


def _count(client: RayBackend) -> int:
    try:
        return len(client.workers())
    except OmegaRuntimeError:
        return -1
