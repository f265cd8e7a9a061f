"""Workers of Dask's own command under their nanny, as Kubernetes and job queues start them."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.cluster import World, eventually

from omruntime import AsyncResult, Omega, errors, virtualobj

FINISHES = ("--preload-nanny", "omruntime_dask.nanny")


@virtualobj
def held(data: object = None, gate: str = "", begun: str = "") -> object:
    """Note each beginning as a line, and return the first argument when the gate is open."""
    import os
    import time

    with open(begun, "a") as file:
        file.write(f"{os.getppid()}\n")
    while not os.path.exists(gate):
        time.sleep(0.01)
    return data


@virtualobj
def below(data: int = 0, om: Any = None) -> int:
    """Return a number by asking another task for the one before it."""
    return 0 if data == 0 else 1 + int(om.runtime.script("below").run(data - 1).get()["result"])


class Held:
    """A task that waits at its gate, and who has begun it."""

    def __init__(self, om: Omega, place: Path) -> None:
        self._gate, self._begun = place / "gate", place / "begun"
        om.scripts.put(held, "held")
        self.handle: AsyncResult = om.runtime.script("held").run("held", gate=str(self._gate), begun=str(self._begun))

    def runs_in(self) -> list[int]:
        """Return the worker processes that have begun it, in order."""
        return [int(line) for line in self._begun.read_text().split()] if self._begun.exists() else []

    def begins(self, count: int = 1) -> int:
        """Wait until it has begun so often; return the worker process that has."""
        eventually(lambda: len(self.runs_in()) == count, f"beginning {count} of the task")
        return self.runs_in()[-1]

    def ends(self) -> None:
        """Open the gate, and expect the value."""
        self._gate.touch()
        assert self.handle.get(60)["result"] == "held"


def start(world: World, om: Omega, *options: str, name: str = "nanny") -> subprocess.Popen[bytes]:
    """Start a nanny with a worker of one slot."""
    nanny = world.dask_worker("--nanny", "--nthreads", "1", "--preload", "omruntime_dask.worker", *options, name=name)

    def mine() -> list[int]:
        return [each.pid for each in psutil.Process(nanny.pid).children(recursive=True)]

    eventually(lambda: any(each.pid in mine() for each in om.runtime.workers()), "the worker of the nanny")
    return nanny


def test_one_that_is_told_to_end_has_its_worker_finish(world: World, om: Omega, tmp_path: Path) -> None:
    nanny = start(world, om, *FINISHES)
    task = Held(om, tmp_path)
    task.begins()
    queued = om.runtime.script("echo").run("queued")
    nanny.send_signal(signal.SIGTERM)
    eventually(lambda: om.runtime.labels() == {}, "that the worker is not listed")
    start(world, om, name="other")
    assert queued.get(60)["result"] == "queued"
    # Longer than a nanny that knows nothing of us gives its worker.
    with pytest.raises(subprocess.TimeoutExpired):
        nanny.wait(12)
    task.ends()
    assert nanny.wait(60) == 0
    assert len(task.runs_in()) == 1
    assert "Traceback" not in world.said("nanny")


def test_one_that_does_not_know_us_kills_its_worker_and_the_task_runs_elsewhere(
    world: World, om: Omega, tmp_path: Path
) -> None:
    nanny = start(world, om)
    task = Held(om, tmp_path)
    first = task.begins()
    nanny.send_signal(signal.SIGTERM)
    start(world, om, name="other")
    assert task.begins(2) != first
    task.ends()
    nanny.wait(60)


def test_a_worker_that_is_killed_is_started_again_and_its_task_runs(world: World, om: Omega, tmp_path: Path) -> None:
    start(world, om)
    task = Held(om, tmp_path)
    first = task.begins()
    os.kill(first, signal.SIGKILL)
    assert task.begins(2) != first
    task.ends()


def test_one_that_is_killed_with_its_worker_leaves_the_task_to_others(
    world: World, om: Omega, tmp_path: Path
) -> None:
    nanny = start(world, om)
    task = Held(om, tmp_path)
    first = task.begins()
    nanny.kill()
    os.kill(first, signal.SIGKILL)
    nanny.wait()
    start(world, om, name="other")
    assert task.begins(2) != first
    task.ends()


def test_a_worker_does_not_outlive_its_nanny(world: World, om: Omega, tmp_path: Path) -> None:
    nanny = start(world, om)
    task = Held(om, tmp_path)
    worker = psutil.Process(task.begins())
    runners = worker.children(recursive=True)
    assert runners
    nanny.kill()
    nanny.wait()
    eventually(lambda: not [each for each in (worker, *runners) if each.is_running()], "the end of all of them")
    start(world, om, name="other")
    task.begins(2)
    task.ends()


@pytest.mark.parametrize("offers", [(), ("--resources", "label:default=1")])
def test_tasks_wait_are_cancelled_and_timed_out_there(
    world: World, om: Omega, tmp_path: Path, offers: tuple[str, ...]
) -> None:
    start(world, om, *offers)
    om.scripts.put(below, "below")
    assert om.runtime.script("below").run(3).get(60)["result"] == 3
    task = Held(om, tmp_path)
    task.begins()
    task.handle.cancel()
    with pytest.raises(errors.TaskRevoked):
        task.handle.get(60)
    assert om.runtime.script("echo").run("next").get(60)["result"] == "next"
    late = om.runtime.require(timeout=0.5).script("echo").run(1, gate=str(tmp_path / "never"))
    with pytest.raises(errors.TaskTimeout):
        late.get(60)
    assert om.runtime.script("echo").run("next").get(60)["result"] == "next"
