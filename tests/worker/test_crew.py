"""The slots of a host grow and shrink, and nobody loses a task or waits for ever because of it."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from omruntime import Omega, OmegaRuntimeLocal
from omruntime.errors import BackendUnavailable, RuntimeClosed, UnsupportedCapability
from tests.worker.conftest import deploy
from tests.worker.gates import Gate, alive, eventually, run, value
from tests.worker.test_host import host_of


def labels(om: Omega) -> list[list[str]]:
    return sorted(om.runtime.labels().values())


def held(om: Omega, place: Path, name: str, **terms: Any) -> tuple[Any, Gate, int]:
    """A task that is held at a gate of its own, and its process."""
    gate = Gate(place, name)
    handle = run(om, "held", name, require=terms, **gate.arguments)
    return handle, gate, gate.wait_for_start()


def test_new_workers_are_live_when_scale_returns(om: Omega) -> None:
    (before,) = om.runtime.workers()
    om.runtime.scale({"gpu": 2, "big,gpu": 1})
    assert labels(om) == [["big", "gpu"], ["default"], ["gpu"], ["gpu"]]
    assert before in om.runtime.workers()
    assert len({each.name for each in om.runtime.workers()} & set(om.runtime.labels())) == 4
    assert all(alive(each.pid) for each in om.runtime.workers())
    om.runtime.scale({"gpu": 2})
    assert len(labels(om)) == 4
    om.runtime.scale({" gpu , big": 0})
    assert labels(om) == [["default"], ["gpu"], ["gpu"]]


def test_a_task_that_waits_for_a_label_starts_when_a_worker_joins(om: Omega) -> None:
    waiting = [run(om, "echo", number, require={"label": "gpu"}) for number in range(3)]
    assert [each.status for each in waiting] == ["PENDING"] * 3
    om.runtime.scale({"gpu": 1})
    assert [value(each) for each in waiting] == [0, 1, 2]


def test_a_worker_that_is_busy_finishes_its_task_first(om: Omega, tmp_path: Path) -> None:
    handle, gate, pid = held(om, tmp_path, "busy")
    queued = run(om, "echo", "queued")
    om.runtime.scale({"default": 0})
    assert labels(om) == []
    assert alive(pid)
    gate.open()
    assert value(handle) == "busy"
    eventually(lambda: not alive(pid), "the end of the worker")
    assert queued.status == "PENDING"
    om.runtime.scale({"default": 1})
    assert value(queued) == "queued"


def test_idle_workers_go_before_busy_ones(om: Omega, tmp_path: Path) -> None:
    om.runtime.scale({"default": 3})
    handle, gate, pid = held(om, tmp_path, "busy")
    om.runtime.scale({"default": 1})
    assert [each.pid for each in om.runtime.workers()] == [pid]
    eventually(lambda: len(host_of(om).slots) == 1, "the end of the idle ones")
    gate.open()
    assert value(handle) == "busy"
    assert value(run(om, "echo", 1)) == 1


def test_a_worker_that_is_leaving_is_taken_back(om: Omega, tmp_path: Path) -> None:
    handle, gate, pid = held(om, tmp_path, "busy")
    om.runtime.scale({"default": 0})
    om.runtime.scale({"default": 1})
    assert [each.pid for each in om.runtime.workers()] == [pid]
    gate.open()
    assert value(handle) == "busy"
    assert value(run(om, "echo", 1)) == 1
    assert [each.pid for each in om.runtime.workers()] == [pid]


def test_a_leaving_worker_whose_process_dies_starts_no_other_and_its_task_runs_elsewhere(
    om: Omega, tmp_path: Path
) -> None:
    handle, gate, pid = held(om, tmp_path, "busy")
    om.runtime.scale({"default": 0, "default,other": 1})
    os.kill(pid, signal.SIGKILL)
    second = gate.wait_for_start()
    assert second == om.runtime.workers()[0].pid
    gate.open()
    assert value(handle) == "busy"
    eventually(lambda: len(host_of(om).slots) == 1, "the end of the slot")


def test_a_task_of_a_leaving_worker_can_still_wait_for_others(om: Omega, tmp_path: Path) -> None:
    from tests.worker.test_waits import chain, parent

    om.scripts.put(parent, "parent")
    om.scripts.put(chain, "chain")
    gate = Gate(tmp_path)
    waiting = run(om, "parent", "child's", **gate.arguments)
    gate.wait_for_start()
    after = run(om, "chain", 2, require={"label": "default"})
    om.runtime.scale({"default": 0})
    gate.open()
    assert value(waiting) == "child's"
    eventually(lambda: not [slot for slot in host_of(om).slots if not slot.spare], "the end of the worker")
    om.runtime.scale({"default": 1})
    assert value(after) == 2


def test_one_that_cannot_be_started_is_told_and_the_others_stay(om: Omega, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = [each.pid for each in om.runtime.workers()]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nonexistent/python")
        with pytest.raises(BackendUnavailable, match=r"cannot be started.*/nonexistent/python"):
            om.runtime.scale({"gpu": 1, "default": 2})
    assert [each.pid for each in om.runtime.workers()] == pids
    assert value(run(om, "echo", 1)) == 1
    om.runtime.scale({"gpu": 1})
    assert labels(om) == [["default"], ["gpu"]]


def test_many_may_scale_at_once_and_tasks_go_on(store_url: str) -> None:
    with deploy(Omega(store_url, OmegaRuntimeLocal(workers=2))) as om, ThreadPoolExecutor(4) as pool:
        handles = [run(om, "echo", number) for number in range(100)]
        scaling = [pool.submit(om.runtime.scale, {"default": count}) for count in (1, 3, 0, 2)]
        handles += [run(om, "echo", number) for number in range(100, 200)]
        for each in scaling:
            each.result(60)
        om.runtime.scale({"default": 2})
        assert [value(each) for each in handles] == [*range(200)]
        eventually(lambda: len(host_of(om).slots) == 2, "the end of those that have left")


def test_it_can_be_closed_with_nobody_left_and_tasks_that_wait(om: Omega, store_url: str) -> None:
    om.runtime.scale({"default": 0})
    waiting = run(om, "echo", 1)
    runtime = om.runtime
    om.close()
    with pytest.raises(RuntimeClosed):
        runtime.scale({"default": 1})
    with Omega(store_url) as reader:
        assert reader.runtime.result(waiting.id).status == "REVOKED"


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ({"gpu": -1}, ValueError, r"scale={'gpu': -1}: give each label a whole number of slots, at least 0"),
        ({"gpu": 1.5}, TypeError, r"scale={'gpu': 1.5}"),
        ({"gpu": True}, TypeError, r"scale={'gpu': True}"),
        ({" , ": 1}, ValueError, r"at least 0"),
        ({1: 1}, TypeError, r"scale={1: 1}"),
        ({}, ValueError, r"names no label"),
        ("gpu", TypeError, r"scale='gpu'; say scale=2"),
        (True, TypeError, r"scale=True"),
        (-1, ValueError, r"at least 0"),
    ],
)
@pytest.mark.shared_workers
def test_counts_are_whole_numbers(shared: Omega, wanted: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        shared.runtime.scale(wanted)
    assert len(shared.runtime.workers()) == 2


def test_a_number_is_that_of_the_default_label(om: Omega) -> None:
    om.runtime.scale(2)
    assert labels(om) == [["default"], ["default"]]


def test_an_engine_whose_workers_are_somebody_elses_refuses(om: Omega, monkeypatch: pytest.MonkeyPatch) -> None:
    from omruntime.abc import Backend
    from omruntime.local.backend import LocalBackend

    monkeypatch.delattr(LocalBackend, "scale")
    assert LocalBackend.scale is Backend.scale
    with pytest.raises(UnsupportedCapability, match="'local' does not start its workers"):
        om.runtime.scale({"gpu": 1})
