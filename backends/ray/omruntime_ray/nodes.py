"""The nodes of one Ray cluster on one machine, kept by a process for tests: ``python -m omruntime_ray.nodes``.

Each line of its input is an order, as JSON, and each line of its output says what came of it. Everything ends with
its input, and with this process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ray._private import ray_constants, services
from ray._private.node import Node
from ray._private.parameter import RayParams

from omruntime_ray.clientports import PortBlock

__all__ = ["Nodes", "descendants", "parents"]

_STORE = 80 * 2**20
"""Bytes of shared memory that each node has for objects."""


@cache
def _client_ports() -> PortBlock:
    """Return the ports for clients of the one cluster that this process keeps."""
    return PortBlock()


class _Node(Node):  # type: ignore[misc]  # Ray's is not typed.
    """A node whose server for Ray's clients has ports that no other one on this machine has."""

    def start_ray_client_server(self) -> None:
        """Start that server."""
        kind = ray_constants.PROCESS_TYPE_RAY_CLIENT_SERVER
        stdout, stderr = self.get_log_file_handles(kind, unique=True)
        command = [sys.executable, "-m", "omruntime_ray.clientports", str(_client_ports().first), "--mode=proxy"]
        options = {
            "address": self.address,
            "host": self.node_ip_address,
            "port": self._ray_params.ray_client_server_port,
            "runtime-env-agent-address": self.runtime_env_agent_address,
            "node-id": self.node_id,
        }
        command += [f"--{name}={value}" for name, value in options.items()]
        self.all_processes[kind] = [
            services.start_ray_process(
                command,
                kind,
                stdout_file=stdout,
                stderr_file=stderr,
                fate_share=self.kernel_fate_share,
                # What it starts shall not die of gRPC's handlers, between fork and exec.
                env_updates={"GRPC_ENABLE_FORK_SUPPORT": "0"},
            )
        ]


class Nodes:
    """Starts and kills nodes; the first one is the head.

    Args:
        place: directory for all that they write.
        port: of the head.
        client_port: of the head's server for Ray's clients; 0 where there is none.
    """

    def __init__(self, place: Path, port: int, client_port: int) -> None:
        self._place, self._port, self._client_port = place, port, client_port
        self._head: Any = None
        self._others: dict[str, Any] = {}

    def start(self) -> None:
        """Start the head."""
        ports = {"gcs_server_port": self._port, "ray_client_server_port": self._client_port or None}
        self._head = self._node(head=True, no_monitor=True, **ports)

    def add(self, resources: Mapping[str, float]) -> str:
        """Start one more node, and return its id when it belongs to the cluster."""
        node = self._node(
            head=False,
            gcs_address=self._head.gcs_address,
            resources=dict(resources),
            node_manager_port=0,
            include_log_monitor=False,
        )
        self._others[node.node_id] = node
        return str(node.node_id)

    def _node(self, *, head: bool, **settings: Any) -> Any:
        given = RayParams(
            num_cpus=1,
            num_gpus=0,
            object_store_memory=_STORE,
            min_worker_port=0,
            max_worker_port=0,
            include_dashboard=False,
            temp_dir=str(self._place / "ray"),
            **settings,
        )
        return _Node(given, head=head, shutdown_at_exit=False, spawn_reaper=True)

    def kill(self, id: str) -> None:
        """Kill a node that is not the head, as a power cut would."""
        _kill(self._others.pop(id))

    def restart_gcs(self) -> None:
        """Kill the process that knows the cluster, and start it again at the same port."""
        self._head.kill_gcs_server(check_alive=False)
        self._head.start_gcs_server()

    def kill_all(self) -> None:
        """Kill all nodes."""
        for node in self._others.values():
            _kill(node)
        self._others = {}
        if self._head is not None:
            _kill(self._head)
            self._head = None


def _kill(node: Any) -> None:
    """Kill all processes of a node at once, before any of them notices that others are gone."""
    for pid in descendants(process.pid for _, process in node.live_processes()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    node.kill_all_processes(check_alive=False, wait=True)


def parents() -> dict[int, int]:
    """Return the parent of each process of this machine."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return {int(pid): int(parent) for pid, parent in map(str.split, table.splitlines())}


def descendants(pids: Iterable[int]) -> list[int]:
    """Return processes, and all that they have started."""
    found, table = list(dict.fromkeys(pids)), parents()
    for pid in found:
        # The list grows while it is gone through.
        found += [child for child, parent in table.items() if parent == pid and child not in found]
    return found


def main() -> None:
    """Carry out orders until there are no more."""
    nodes = Nodes(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    # Ray prints, here and there; who has sent the order shall read the answer alone.
    answers, sys.stdout = sys.stdout, sys.stderr
    try:
        for line in sys.stdin:
            order = json.loads(line)
            try:
                said = {"done": getattr(nodes, order["do"])(*order["with"])}
            except Exception as exc:  # noqa: BLE001  (who has sent the order gets it)
                said = {"failed": f"{type(exc).__name__}: {exc}"}
            print(json.dumps(said), file=answers, flush=True)
    finally:
        nodes.kill_all()


if __name__ == "__main__":
    main()
