"""A Ray cluster for tests: nodes that can be killed and started again, on free ports, in a directory of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omruntime.errors import BackendUnavailable
from omruntime_ray.nodes import descendants
from omruntime_ray.reach import knock

__all__ = ["RayServer", "free_port"]

_TIMES = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "4",
    "RAY_raylet_start_wait_time_s": "120",
}
"""A node that does not listen any more is missed after two seconds, and not after half a minute; one that is slow
has as long as ever to answer, and longer to start."""


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RayServer:
    """A Ray cluster, with a home of its own; its processes are children of one that keeps them (`nodes`).

    Args:
        env: environment variables for its processes.
        keeps: what the cluster knows (its nodes, jobs and actors) outlives the head's own memory, in a directory.
        clients: it has the server for Ray's clients, which is one process more.
    """

    def __init__(self, env: Mapping[str, str], *, keeps: bool = False, clients: bool = True) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="omr-ray-"))
        self.port, self._client_port = free_port(), free_port()
        self._clients = clients
        self.url = f"ray+gcs://127.0.0.1:{self.port}"
        self.client_url = f"ray://127.0.0.1:{self._client_port}"
        own = {"HOME": str(self.place), "RAY_USAGE_STATS_ENABLED": "0", **_TIMES}
        if keeps:
            own |= {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(self.place / "kept")}
        self._env = {**os.environ, **env, **own}
        self._keeper: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the head, at the same address each time, and return when it takes drivers."""
        if self._keeper is None:
            command = [sys.executable, "-m", "omruntime_ray.nodes", str(self.place)]
            with self._log.open("a") as log:
                self._keeper = subprocess.Popen(
                    [*command, str(self.port), str(self._client_port if self._clients else 0)],
                    env=self._env,
                    cwd=self.place,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
        try:
            self._order("start")
        except BaseException:
            self.close()
            raise

    @property
    def _log(self) -> Path:
        return self.place / "keeper.log"

    def _order(self, what: str, *given: object) -> Any:
        keeper = self._keeper
        assert keeper is not None and keeper.stdin is not None and keeper.stdout is not None  # noqa: PT018
        keeper.stdin.write(json.dumps({"do": what, "with": given}) + "\n")
        keeper.stdin.flush()
        said = json.loads(keeper.stdout.readline() or '{"failed": "its keeper has ended"}')
        if "failed" in said:
            raise RuntimeError(f"Ray: {what}: {said['failed']}\n{self._log.read_text(errors='replace')[-2000:]}")
        return said["done"]

    def add_node(self, resources: Mapping[str, float]) -> str:
        """Start one more node, and return its id when it belongs to the cluster."""
        return str(self._order("add", dict(resources)))

    def kill_node(self, id: str) -> None:
        """Kill a node that was added, with all its processes, as a power cut would."""
        self._order("kill", id)

    def restart_gcs(self) -> None:
        """Kill the GCS, and start it again at its port; with ``keeps`` it knows what it knew, otherwise nothing."""
        self._order("restart_gcs")

    def kill(self) -> None:
        """Kill all nodes; `start` brings back a head that knows nothing of them, unless the cluster ``keeps``."""
        self._order("kill_all")

    def takes_clients(self) -> bool:
        """Tell whether its server for Ray's clients answers."""
        try:
            knock("127.0.0.1", self._client_port)
        except BackendUnavailable:
            return False
        return True

    def close(self) -> None:
        """End all its processes."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            for pid in descendants([keeper.pid]):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            with keeper:
                keeper.wait()
        shutil.rmtree(self.place, ignore_errors=True)
