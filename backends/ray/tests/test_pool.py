from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from omruntime_ray import OmegaRuntimeRay
from omruntime_ray.testing import RayServer
from tests.ray_world import AUTH, eventually

from omruntime import Omega
from omruntime.errors import BackendUnavailable

_LEAVES = """
import sys
from omruntime import Omega
url, store, gate = sys.argv[1:]
om = Omega(store, url)
small = om.runtime.script("echo").run("small", gate=gate)
large = om.runtime.script("size").run(b"x" * 3_000_000, gate=gate)
print(small.id, large.id, flush=True)
sys.stdin.read()
"""


def _labels(om: Omega) -> list[list[str]]:
    return sorted(om.runtime.labels().values())


def test_a_pool_is_as_large_as_somebody_has_said(om: Omega, url: str) -> None:
    assert _labels(om) == []
    om.runtime.scale({"default": 2, "big,gpu": 1})
    assert _labels(om) == [["big", "gpu"], ["default"], ["default"]]
    assert om.runtime.require("gpu").script("echo").run(41).get(timeout=60)["result"] == 41
    om.runtime.scale({"default": 3, "big,gpu": 0})
    eventually(lambda: _labels(om) == [["default"]] * 3, "three slots")


def test_a_pool_outlives_who_has_made_it_and_what_was_sent_too(om: Omega, url: str, tmp_path: Path) -> None:
    om.runtime.scale({"default": 1})
    gate = tmp_path / "gate"
    command = [sys.executable, "-c", _LEAVES, url, om.store.url, str(gate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        ids = client.stdout.readline().split()
        eventually(lambda: om.runtime.result(ids[0]).status == "STARTED", "the first task")
        client.kill()
    gate.touch()
    values = [om.runtime.result(id).get(timeout=60)["result"] for id in ids]
    assert values == ["small", 3_000_000]


def test_a_host_that_was_killed_comes_back_and_its_task_runs_again(om: Omega, tmp_path: Path) -> None:
    om.runtime.scale({"default": 1})
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    task = om.runtime.script("echo").run("again", gate=str(gate), begun=str(begun))
    eventually(begun.exists, "the task's beginning")
    (worker,) = om.runtime.workers()
    host = int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(worker.pid)], text=True))
    os.kill(host, signal.SIGKILL)
    gate.touch()
    assert task.get(timeout=90)["result"] == "again"


def test_a_process_has_one_cluster_and_says_which(om: Omega, url: str) -> None:
    assert om.runtime.workers() == []
    other = RayServer({})
    try:
        other.start()
        with pytest.raises(BackendUnavailable, match="one at a time in a process") as caught:
            OmegaRuntimeRay(other.url, auth=AUTH)
        assert url.split("/")[2] in str(caught.value)
    finally:
        other.close()


def test_a_ray_of_the_users_is_joined_and_left_as_it_was(server: RayServer, url: str, store_url: str) -> None:
    ray.init(f"127.0.0.1:{server.port}", log_to_driver=False)
    try:
        with Omega(store_url, OmegaRuntimeRay(url, auth=AUTH), auth=AUTH) as om:
            assert om.runtime.workers() == []
        assert ray.is_initialized()
        namespace = url.rpartition("/")[2]
        with Omega(store_url, OmegaRuntimeRay(f"ray://auto/{namespace}", auth=AUTH), auth=AUTH) as om:
            assert om.runtime.workers() == []
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_a_pool_that_nobody_needs_ends_and_the_office_with_it(
    url: str, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMRUNTIME_RAY_IDLE", "1")
    namespace = url.rpartition("/")[2]
    with Omega(store_url, OmegaRuntimeRay(url, workers={"default": 1}, auth=AUTH), auth=AUTH) as om:
        assert _labels(om) == [["default"]]
    ray.init(url.removeprefix("ray+gcs://").partition("/")[0], log_to_driver=False)
    try:
        eventually(
            lambda: namespace not in {each["namespace"] for each in ray.util.list_named_actors(all_namespaces=True)},
            "the end of the pool",
        )
    finally:
        ray.shutdown()


def test_a_pool_may_grow_again_while_what_was_ended_is_busy_still(om: Omega, tmp_path: Path) -> None:
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    om.runtime.scale({"default": 1})
    first = om.runtime.script("echo").run("first", gate=str(gate), begun=str(begun))
    eventually(begun.exists, "the first task")
    om.runtime.scale({"default": 0})
    assert _labels(om) == []
    om.runtime.scale({"default": 2})
    assert _labels(om) == [["default"], ["default"]]
    assert om.runtime.script("echo").run("second").get(timeout=60)["result"] == "second"
    gate.touch()
    assert first.get(timeout=60)["result"] == "first"
    # And when that has gone, the one of the second name is kept.
    om.runtime.scale({"default": 1})
    eventually(lambda: _labels(om) == [["default"]], "one slot")
    assert om.runtime.script("echo").run("third").get(timeout=60)["result"] == "third"
