"""Who works: `omruntime worker`, and workers of Dask's own command with and without us."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from distributed import Client
from omruntime_dask import preload
from tests.cluster import AUTH, World, eventually

from omruntime import Omega
from omruntime.errors import BackendUnavailable

PRELOAD = ("--preload", "omruntime_dask.worker")


@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_a_worker_of_dask_s_own_command_joins(world: World, om: Omega, nanny: str) -> None:
    world.dask_worker(
        nanny, "--nthreads", "2", "--resources", "label:gpu=1000", *PRELOAD, OMRUNTIME_STORE=om.store.url
    )
    eventually(lambda: sorted(om.runtime.labels().values()) == [["gpu"], ["gpu"]], "two slots")
    handles = [om.runtime.require("gpu").script("echo").run(n) for n in range(5)]
    assert [handle.get(60)["result"] for handle in handles] == list(range(5))
    assert all(each.slots == 1 for each in om.runtime.workers())


def test_it_is_a_default_one_where_its_resources_say_nothing(world: World, om: Omega) -> None:
    world.dask_worker("--no-nanny", "--nthreads", "1", *PRELOAD)
    eventually(om.runtime.labels, "the worker")
    assert om.runtime.script("echo").run(3).get(60)["result"] == 3
    assert list(om.runtime.labels().values()) == [["default"]]


def test_the_nanny_brings_it_back(world: World, om: Omega) -> None:
    world.dask_worker("--nanny", "--nthreads", "1", *PRELOAD)
    eventually(om.runtime.labels, "the worker")
    assert om.runtime.script("echo").run(1).get(60)["result"] == 1
    (before,) = om.runtime.workers()
    parent = int(Path(f"/proc/{before.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: om.runtime.labels() and before.name not in om.runtime.labels(), "another worker")
    assert om.runtime.script("echo").run(2).get(60)["result"] == 2


def test_a_worker_without_us_is_given_nothing(world: World, om: Omega) -> None:
    world.dask_worker("--no-nanny", "--nthreads", "1")
    with Client(world.tcp, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)
        waits = om.runtime.script("echo").run(5)
        assert client.submit(int, "7").result(60) == 7
        # What comes to the scheduler later is done, so it has looked at the first.
        assert om.runtime.labels() == {}
        states = client.run_on_scheduler(
            lambda dask_scheduler: {t.key: t.state for t in dask_scheduler.tasks.values()}
        )
        assert [state for key, state in states.items() if key.startswith("script.run")] == ["no-worker"]
        world.worker()
        eventually(om.runtime.labels, "a worker of ours")
        assert waits.get(60)["result"] == 5


def test_a_worker_that_offers_our_labels_without_us_is_told_of(world: World, om: Omega) -> None:
    world.dask_worker("--no-nanny", "--nthreads", "1", "--resources", "label:default=1000")
    with Client(world.tcp, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)
    with pytest.raises(BackendUnavailable, match=r"--preload omruntime_dask\.worker"):
        om.runtime.script("echo").run(5).get(60)


def test_a_worker_that_cannot_be_ours_stays_a_worker_of_dask_s(world: World, om: Omega, tmp_path: Path) -> None:
    lost = f"sqlite:///{tmp_path}/nowhere"
    world.dask_worker("--no-nanny", "--nthreads", "1", *PRELOAD, name="broken", OMRUNTIME_STORE=lost)
    with Client(world.tcp, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)
        assert client.submit(int, "7").result(60) == 7
        assert client.run(lambda dask_worker: dask_worker.state.total_resources) != {}
    assert om.runtime.labels() == {}
    assert "is given no tasks of omruntime: StoreUnavailable" in world.said("broken")


def test_a_scheduler_needs_none_of_our_modules(world: World, om: Omega, tmp_path: Path) -> None:
    world.kill_scheduler()
    (tmp_path / "without_us.py").write_text(
        "import sys\n\n\nclass Without:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0].startswith('omruntime'):\n"
        "            raise ModuleNotFoundError(name)\n\n\n"
        "sys.meta_path.insert(0, Without())\n"
    )
    world.start("--preload", str(tmp_path / "without_us.py"))
    world.worker()
    eventually(om.runtime.labels, "the worker")
    handles = [om.runtime.script("echo").run(n) for n in range(3)]
    with om.runtime.parallel() as crt:
        for n in range(3):
            crt.script("echo").run(n)
        whole = crt.run()
    assert [handle.get(60)["result"] for handle in handles] == [0, 1, 2]
    assert [each["result"] for each in whole.get(60)] == [0, 1, 2]


def test_a_worker_that_is_told_to_end_finishes_its_tasks_and_leaves_the_others(
    world: World, om: Omega, tmp_path: Path
) -> None:
    ends = world.worker()
    eventually(om.runtime.labels, "the worker")
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    running = om.runtime.script("echo").run("running", gate=str(gate), begun=str(begun))
    eventually(begun.exists, "the start of the task")
    queued = om.runtime.script("echo").run("queued")
    ends.send_signal(signal.SIGTERM)
    eventually(lambda: om.runtime.labels() == {}, "that it is not listed")
    assert ends.poll() is None, "it has a task to finish"
    world.worker()
    eventually(om.runtime.labels, "another worker")
    assert queued.get(60)["result"] == "queued"
    gate.touch()
    assert running.get(60)["result"] == "running"
    assert ends.wait(60) == 0
    assert "Traceback" not in world.said("worker")


def test_a_plain_worker_that_is_told_to_end_finishes_its_tasks(world: World, store_url: str, tmp_path: Path) -> None:
    with Omega(store_url, f"dask+tcp://localhost:{world.port}", auth=AUTH) as om:
        from tests.cluster import echo

        om.scripts.put(echo, "echo")
        ends = world.dask_worker("--no-nanny", "--nthreads", "1", *PRELOAD)
        eventually(om.runtime.labels, "the worker")
        gate, begun = tmp_path / "gate", tmp_path / "begun"
        running = om.runtime.script("echo").run("running", gate=str(gate), begun=str(begun))
        eventually(begun.exists, "the start of the task")
        ends.send_signal(signal.SIGTERM)
        eventually(lambda: om.runtime.labels() == {}, "that it is not listed")
        gate.touch()
        assert running.get(60)["result"] == "running"
        assert ends.wait(60) == 0


@pytest.mark.parametrize(("busy", "joins"), [(2, True), (3, False)])
def test_a_scheduler_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch, busy: int, joins: bool) -> None:
    asked: list[object] = []

    def opened(*args: object) -> object:
        asked.append(args)
        if len(asked) <= busy:
            raise BackendUnavailable("something listens there, and has not answered")
        return asked

    monkeypatch.setattr(preload, "_open", opened)
    if joins:
        assert asyncio.run(preload._opened(None, []))
    else:
        with pytest.raises(BackendUnavailable):
            asyncio.run(preload._opened(None, []))
    assert len(asked) == 3
