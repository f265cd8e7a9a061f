"""Where the actors of a pool are, in a cluster of several nodes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from omruntime_ray.servers import RayServer
from tests.ray_world import eventually, running

from omruntime import Omega
from omruntime.abc import WorkerInfo
from omruntime.errors import BackendUnavailable


@pytest.fixture
def server(_without_tokens: None) -> Iterator[RayServer]:
    """A running Ray of this test's own, which nodes join and leave."""
    with running({}) as made:
        yield made


def _added(server: RayServer, om: Omega, resources: dict[str, float]) -> str:
    """Add a node, and return its id when Ray places something on it: it has to have heard what there is."""
    assert om.runtime.labels() is not None
    node = server.add_node(resources)
    eventually(lambda: resources.keys() <= ray.available_resources().keys(), "what the node has")
    return node


def _ps(what: str, pid: int) -> str:
    return subprocess.check_output(["ps", "-ww", "-o", f"{what}=", "-p", str(pid)], text=True).strip()


def _node_of(worker: WorkerInfo) -> str:
    """Return the id of the node that a worker's actor is on: it is in the command of that node's raylet."""
    actor = int(_ps("ppid", worker.pid))
    command = _ps("args", int(_ps("ppid", actor)))
    (node,) = (word.partition("=")[2] for word in command.split() if word.startswith("--node_id="))
    return node


def _nodes(om: Omega, label: str) -> list[str]:
    return [_node_of(worker) for worker in om.runtime.workers() if label in worker.labels]


def test_a_label_that_nodes_name_is_on_those_nodes_alone(server: RayServer, om: Omega) -> None:
    gpu = _added(server, om, {"label:gpu": 1})
    om.runtime.scale({"gpu": 2, "gpu,big": 1, "default": 2})
    assert _nodes(om, "gpu") == [gpu] * 3
    assert _nodes(om, "big") == [gpu]
    assert len(_nodes(om, "default")) == 2
    more = _added(server, om, {"label:gpu": 1, "label:tpu": 1})
    assert set(_nodes(om, "gpu")) == {gpu}, "a pool that is there stays as it is"
    om.runtime.scale({"gpu": 2})
    # Which of them has how many is Ray's: it takes the node that an actor is made for as a wish.
    eventually(lambda: len(_nodes(om, "gpu")) == 3, "as many slots as before")
    assert set(_nodes(om, "gpu")) <= {gpu, more}
    om.runtime.scale({"gpu,tpu": 1})
    assert _nodes(om, "tpu") == [more]
    _added(server, om, {"label:rare": 1})
    with pytest.raises(BackendUnavailable, match=r"all labels of 'rare,tpu'.*ray start --resources"):
        om.runtime.scale({"rare,tpu": 1})


def test_actors_of_a_lost_node_wait_for_another_one_of_their_labels(
    server: RayServer, om: Omega, tmp_path: Path
) -> None:
    lost = _added(server, om, {"label:gpu": 1})
    om.runtime.scale({"gpu": 1, "default": 1})
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    gpu = om.runtime.require("gpu").script("echo")
    running = gpu.run("running", gate=str(gate), begun=str(begun))
    eventually(begun.exists, "the task's beginning")
    server.kill_node(lost)
    eventually(lambda: not _nodes_of_label(om, "gpu"), "that the worker is gone")
    # Which node the other one was on is Ray's: it may have had to be started again, too.
    eventually(lambda: _nodes_of_label(om, "default"), "that a worker of another label is there")
    waiting = gpu.run("waiting", gate=str(gate))
    gate.touch()
    assert om.runtime.script("echo").run("beside").get(timeout=60)["result"] == "beside"
    assert waiting.status == "PENDING"
    other = server.add_node({"label:gpu": 1})
    assert [task.get(timeout=90)["result"] for task in (running, waiting)] == ["running", "waiting"]
    assert _nodes(om, "gpu") == [other]


def _nodes_of_label(om: Omega, label: str) -> list[WorkerInfo]:
    return [worker for worker in om.runtime.workers() if label in worker.labels]
