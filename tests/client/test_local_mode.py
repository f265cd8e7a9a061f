"""'local' is the client's embedded runtime: a local runtime itself, and local workers beside any other engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from omruntime import AsyncResult, Omega, OmegaRuntime, OmegaRuntimeLocal, virtualobj
from omruntime.client.requirements import Requirements
from omruntime.errors import (
    CanvasError,
    NoSuchLabel,
    NoSuchLabelWarning,
    ResultTimeout,
    UnsupportedCapability,
)
from tests.client.other import OmegaRuntimeOther
from tests.worker.conftest import deploy
from tests.worker.gates import Gate, eventually, value


@virtualobj
def where(data: Any = None) -> int:
    import os

    return os.getpid()


@virtualobj
def inside(data: str = "", om: Any = None) -> Any:
    """Run a script with a label from within a task."""
    return om.runtime.require(data).script("where").run().get()["result"]


@pytest.fixture
def other(store_url: str) -> Iterator[Omega]:
    """An Omega on another engine, with one worker."""
    om = deploy(Omega(store_url, OmegaRuntimeOther(workers=1)))
    for script in (where, inside):
        om.scripts.put(script, script.__name__)
    yield om
    om.close(wait=False)


def pid(runtime: OmegaRuntime, script: str = "where", *args: object) -> object:
    return value(runtime.script(script).run(*args))


def pids(runtime: OmegaRuntime) -> set[int]:
    return {each.pid for each in runtime.workers()}


def test_beside_another_engine_local_workers_begin_at_first_use_and_end_with_the_omega(other: Omega) -> None:
    om = other
    assert pid(om.runtime) in pids(om.runtime)
    assert om.session._embedded is None
    local = om.runtime.require("local")
    assert local.requirements.label == "local"
    there = pid(local)
    assert there not in pids(om.runtime)
    assert there in pids(local)
    assert all(name.startswith("local@") for name in local.labels())
    assert all(name.startswith("other@") for name in om.runtime.labels())
    om.close()
    assert om.session._embedded is not None
    assert om.session._embedded.engine.closed


def test_it_can_be_switched_on_and_off(other: Omega) -> None:
    runtime = other.runtime
    engine, local = pids(runtime), pids(runtime.mode(local=True))
    assert pid(runtime.mode(local=True)) in local
    assert pid(runtime.mode(local=True).mode(local=False)) in engine
    assert pid(runtime.require("local").mode(local=False)) in engine
    assert pid(runtime.mode(local=True).require("default")) in engine
    assert pid(runtime.mode(local=True).require(retries=1)) in local
    assert pid(runtime) in engine
    with pytest.raises(TypeError, match=r"mode\(local='yes'\) must be True or False"):
        runtime.mode(local="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "local", "then"),
    [
        (None, True, "local"),
        ("gpu", True, "gpu,local"),
        ("gpu,local", True, "gpu,local"),
        ("gpu,local", False, "gpu"),
        ("local", False, None),
        (None, False, None),
    ],
)
def test_the_mode_is_one_of_the_labels(label: str | None, local: bool, then: str | None) -> None:
    assert Requirements(label=label, retries=2).with_mode(local) == Requirements(label=then, retries=2)


def test_a_local_runtime_is_it_itself_with_any_of_its_workers(store_url: str) -> None:
    with deploy(Omega(store_url, OmegaRuntimeLocal(workers={"gpu": 1}))) as om:
        om.scripts.put(where, "where")
        assert pid(om.runtime.require("local")) in pids(om.runtime)
        assert pid(om.runtime.require("gpu, local")) in pids(om.runtime)
        assert pid(om.runtime.mode(local=True).require(on_missing="error")) in pids(om.runtime)
        assert om.session._embedded is None
        with pytest.raises(NoSuchLabel, match="'big,local'; there are: gpu"):
            pid(om.runtime.require("big,local", on_missing="error"))


def test_it_can_be_required_of_a_worker_with_more_labels(other: Omega) -> None:
    local = other.runtime.mode(local=True)
    waiting: AsyncResult = local.require("gpu,local").script("where").run()
    with pytest.warns(NoSuchLabelWarning, match="'gpu,local', and there is none"), pytest.raises(ResultTimeout):
        waiting.get(1.5)
    assert other.runtime.result(waiting.id).status == "PENDING"
    local.scale({"gpu": 1})
    gpu = {each.pid for each in local.workers() if each.labels == ("gpu",)}
    assert value(waiting) in gpu


def test_it_can_be_stored_with_the_object(other: Omega) -> None:
    meta = other.scripts.metadata("where")
    meta.attributes["require"] = {"label": "local"}
    meta.save()
    assert pid(other.runtime) in pids(other.runtime.mode(local=True))
    assert pid(other.runtime.require("default")) in pids(other.runtime)


def test_a_handle_of_a_local_task_cancels_where_it_runs(other: Omega, gate: Gate) -> None:
    held = other.runtime.mode(local=True).script("held").run(**gate.arguments)
    gate.wait_for_start()
    assert held.cancel()
    assert held.status == "REVOKED"
    assert isinstance(pid(other.runtime.mode(local=True)), int)


def test_a_canvas_is_local_or_it_is_not(other: Omega) -> None:
    local = pids(other.runtime.mode(local=True))
    with other.runtime.mode(local=True).parallel() as crt:
        for _ in range(3):
            crt.script("where").run()
        assert {each["result"] for each in crt.run().get(60)} <= local
    mixed = other.runtime.sequence()
    mixed.script("where").run()
    mixed.require("local").script("where").run()
    with pytest.raises(CanvasError, match="some steps of this canvas require 'local'"):
        mixed.run()


def test_a_task_of_another_engine_cannot_reach_its_client(other: Omega) -> None:
    with pytest.raises(UnsupportedCapability, match=r"a task on other:// cannot reach"):
        pid(other.runtime, "inside", "local")
    local = other.runtime.mode(local=True)
    assert isinstance(pid(local, "inside", "local"), int)


def test_no_worker_is_called_so() -> None:
    for workers in ({"local": 1}, {"gpu, local": 2}):
        with pytest.raises(ValueError, match="'local' is what every worker of a local runtime is"):
            OmegaRuntimeLocal(workers=workers)


# -- status ------------------------------------------------------------------------------------------------------


def test_status_tells_who_works_at_what(other: Omega, gate: Gate) -> None:
    om = other
    running = om.runtime.script("held").run(**gate.arguments)
    gate.wait_for_start()
    for _ in range(2):
        om.runtime.script("where").run()
    om.runtime.require("gpu").script("where").run()
    with om.runtime.sequence() as crt:
        crt.script("where").run()
        crt.script("where").run()
        crt.run()
    status = om.runtime.status()
    (worker,) = om.runtime.workers()
    assert (status["engine"], status["address"]) == ("other", "other://")
    assert status["capabilities"] == ["CANCEL_RUNNING", "NESTED_WAIT", "TIME_LIMIT"]
    assert list(status["workers"]) == [worker.name]
    shown = status["workers"][worker.name]
    assert (shown["labels"], shown["pid"], shown["slots"]) == (["default"], worker.pid, 1)
    (task,) = shown["running"]
    assert (task["id"], task["name"], task["attempt"]) == (running.id, "script.run held", 1)
    assert status["queued"] == {"default": 3, "gpu": 1}
    assert (status["later"], status["elsewhere"]) == (1, [])
    gate.open()

    def the_others_have_ended() -> bool:
        status = om.runtime.status()
        running = status["workers"][worker.name]["running"]
        return (status["queued"], status["later"], running) == ({"gpu": 1}, 0, [])

    eventually(the_others_have_ended, "the end of the others")
    beside = om.runtime.mode(local=True).status()
    assert (beside["engine"], beside["queued"]) == ("local", {})


def test_status_tells_what_stand_ins_run(store_url: str, gate: Gate) -> None:
    from tests.worker.test_waits import parent

    with deploy(Omega(store_url, OmegaRuntimeLocal(workers=1))) as om:
        om.scripts.put(parent, "parent")
        waiting = om.runtime.script("parent").run("child's", **gate.arguments)
        gate.wait_for_start()
        status = om.runtime.status()
        (worker,) = status["workers"].values()
        assert [task["id"] for task in worker["running"]] == [waiting.id]
        assert [task["name"] for task in status["elsewhere"]] == ["script.run held"]
        gate.open()
        assert value(waiting) == "child's"
