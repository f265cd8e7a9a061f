"""A host ends what it was given, whoever dies, whoever cancels, and whoever closes it when."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from sklearn.linear_model import LinearRegression

from omruntime import Auth, Omega, OmegaRuntimeLocal
from omruntime.abc import Call, Space
from omruntime.errors import (
    BackendUnavailable,
    RuntimeClosed,
    StoreUnavailable,
    TaskRevoked,
    TaskTimeout,
    WorkerLost,
)
from omruntime.local.backend import LocalBackend
from omruntime.store import shared as shared_stores
from omruntime.testing import capture_calls
from omruntime.worker.host import Host
from tests.ledger import made
from tests.worker.gates import Gate, alive, eventually, run, value


def host_of(om: Omega) -> Host:
    return cast(LocalBackend, om.runtime.backend)._host


def only_pid(om: Omega) -> int:
    (worker,) = om.runtime.workers()
    return worker.pid


def descriptors() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            # The listing's own.
            continue
    # Sockets and pipes are numbered, and so never the same.
    return sorted(each.partition("[")[0] for each in found)


# -- cancel ------------------------------------------------------------------------------------------------------


def test_a_queued_task_that_is_cancelled_never_starts(om: Omega, gate: Gate, tmp_path: Path) -> None:
    running = run(om, "held", 1, **gate.arguments)
    gate.wait_for_start()
    mark = tmp_path / "mark"
    queued = run(om, "shell", f"open({str(mark)!r}, 'w').close()")
    assert queued.cancel() is True
    assert queued.cancel() is False
    with pytest.raises(TaskRevoked):
        queued.get(60)
    gate.open()
    assert value(running) == 1
    assert value(run(om, "echo", 2)) == 2
    assert not mark.exists()


def test_a_running_task_that_is_cancelled_goes_with_its_children(om: Omega, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    code = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
with open({gate.started!r}, "w") as pipe:
    pipe.write(str(child.pid))
child.wait()
"""
    running = run(om, "shell", code)
    child = gate.wait_for_start()
    runner = only_pid(om)
    assert running.cancel() is True
    assert running.status == "REVOKED"
    with pytest.raises(TaskRevoked, match=running.id):
        running.get(60)
    eventually(lambda: not alive(child) and not alive(runner), "the end of the cancelled task's processes")
    assert value(run(om, "echo", "next")) == "next"


def test_a_task_that_waits_for_its_next_attempt_can_be_cancelled_and_holds_nobody_up(om: Omega) -> None:
    failing = run(om, "fails", require={"retries": 3, "retry_delay": 3600})
    eventually(lambda: om.session.ledger.state(failing.id).attempt == 2, "the end of the first attempt")
    assert failing.cancel() is True
    with pytest.raises(TaskRevoked):
        failing.get(60)
    om.close()


# -- time --------------------------------------------------------------------------------------------------------


def test_the_limit_holds_for_each_attempt(om: Omega) -> None:
    handle = run(om, "shell", "import time; time.sleep(3600)", require={"timeout": 0.1, "retries": 2})
    with pytest.raises(TaskTimeout):
        handle.get(60)
    assert om.session.ledger.state(handle.id).attempt == 3


def test_a_task_is_not_charged_for_the_time_that_it_waited(om: Omega, gate: Gate) -> None:
    first = run(om, "held", 1, **gate.arguments)
    gate.wait_for_start()
    second = run(om, "echo", 2, require={"timeout": 20})
    gate.open()
    assert (value(first), value(second)) == (1, 2)


# -- death -------------------------------------------------------------------------------------------------------


def test_a_runner_that_is_killed_between_tasks_is_replaced(om: Omega) -> None:
    assert value(run(om, "echo", 1)) == 1
    for number in range(3):
        os.kill(only_pid(om), signal.SIGKILL)
        assert value(run(om, "echo", number)) == number


def test_a_runner_that_dies_after_it_was_chosen_loses_nobody(om: Omega, tmp_path: Path) -> None:
    dispatcher, held_back, chosen = host_of(om)._dispatcher, threading.Event(), threading.Event()
    begin = dispatcher._begin

    def begin_late(slot: Any, delivery: Any, *rest: Any) -> bool:
        dispatcher._begin = begin  # type: ignore[method-assign]
        chosen.set()
        assert held_back.wait(60)
        return begin(slot, delivery, *rest)

    dispatcher._begin = begin_late  # type: ignore[assignment, method-assign]
    first_gate = Gate(tmp_path, "first")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, om, "held", "first", **first_gate.arguments)
        assert chosen.wait(60)
        pid = only_pid(om)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: only_pid(om) != pid and dispatcher._idle, "the next runner, ready")
        held_back.set()
        first_gate.wait_for_start()
        second = run(om, "echo", "second")
        first_gate.open()
        assert value(first.result()) == "first"
        assert value(second) == "second"


def test_a_task_that_begins_while_its_runner_is_replaced_is_run_by_the_next_one(om: Omega) -> None:
    host = host_of(om)
    (slot,) = host.slots
    dispatcher, chosen, died = host._dispatcher, threading.Event(), threading.Event()
    begin, spawn = dispatcher._begin, slot._spawn

    def begin_late(slot: Any, delivery: Any, *rest: Any) -> bool:
        dispatcher._begin = begin  # type: ignore[method-assign]
        chosen.set()
        eventually(lambda: not slot.accepting, "the death of the runner")
        return begin(slot, delivery, *rest)

    def spawn_late(slot: Any) -> Any:
        died.set()
        return spawn(slot)

    dispatcher._begin, slot._spawn = begin_late, spawn_late  # type: ignore[assignment, method-assign]
    with ThreadPoolExecutor(1) as pool:
        handle = pool.submit(run, om, "echo", 5)
        assert chosen.wait(60)
        os.kill(only_pid(om), signal.SIGKILL)
        assert died.wait(60)
        assert value(handle.result()) == 5


def test_how_a_runner_died_is_told(om: Omega) -> None:
    code = "import os; print('last words', flush=True); os._exit(7)"
    with pytest.raises(WorkerLost) as caught:
        run(om, "shell", code, require={"retries": 0}).get(60)
    assert (caught.value.exitcode, caught.value.signal, caught.value.attempt) == (7, None, 1)
    assert "exited with code 7" in str(caught.value)
    assert "last words" in caught.value.output
    with pytest.raises(WorkerLost) as caught:
        run(om, "shell", "import os; os.kill(os.getpid(), 11)", require={"retries": 1}).get(60)
    assert (caught.value.exitcode, caught.value.signal, caught.value.attempt) == (None, 11, 2)
    assert "was killed by SIGSEGV" in str(caught.value)


def test_a_lost_runner_is_retried_twice_unless_the_call_says_otherwise(om: Omega) -> None:
    handle = run(om, "shell", "import os; os._exit(1)")
    with pytest.raises(WorkerLost):
        handle.get(60)
    assert om.session.ledger.state(handle.id).attempt == 3


def test_a_lost_runner_is_replaced_though_who_waited_has_closed_its_omega(
    om: Omega, gate: Gate, store_url: str
) -> None:
    other = Omega(store_url, om.runtime)
    handle = run(other, "held", 1, **gate.arguments)
    future = handle.future()
    pid = gate.wait_for_start()
    other.close()
    with pytest.raises(RuntimeClosed):
        future.result(60)
    os.kill(pid, signal.SIGKILL)
    found = om.runtime.result(handle.id)
    eventually(lambda: om.session.ledger.state(handle.id).attempt == 2, "the loss")
    eventually(lambda: om.session.ledger.state(handle.id).claim is not None, "another attempt")
    gate.wait_for_start()
    gate.open()
    assert value(found) == 1
    om.close()


# -- output ------------------------------------------------------------------------------------------------------


def test_output_is_cut_by_task(om: Omega) -> None:
    handles = [run(om, "echo", f"number {number}") for number in range(3)]
    for number, handle in enumerate(handles):
        assert value(handle) == f"number {number}"
        assert handle.logs() == f"echo of number {number}\n"


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout = None; sys.stderr = None",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "import io, sys; sys.stdout = sys.stderr = io.StringIO()",
        "import os, shutil; shutil.rmtree(os.getcwd())",
        "import sys; sys.modules.pop('json', None); sys.path.clear()",
        "import os; os.environ.clear()",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    ],
)
def test_whatever_a_task_does_to_its_process_the_next_one_finds_it_whole(om: Omega, code: str) -> None:
    pid = only_pid(om)
    assert value(run(om, "shell", code + "\nanswer = 1", require={"retries": 0})) == 1
    after = (
        "import json, os, sys; print(len(sys.path) > 0); answer = [os.path.isdir(os.getcwd()), len(os.environ) > 0]"
    )
    following = run(om, "shell", after)
    assert value(following) == [True, True]
    assert following.logs() == "True\n"
    assert only_pid(om) == pid


# -- close -------------------------------------------------------------------------------------------------------


def test_close_without_waiting_revokes_all_there_is(om: Omega, gate: Gate, store_url: str) -> None:
    retried = run(om, "fails", require={"retries": 3, "retry_delay": 3600})
    eventually(lambda: om.session.ledger.state(retried.id).attempt == 2, "the end of the first attempt")
    running = run(om, "held", 1, **gate.arguments)
    pid = gate.wait_for_start()
    queued = run(om, "echo", 2)
    om.close(wait=False)
    assert not alive(pid)
    with Omega(store_url) as reader:
        for handle in (running, queued, retried):
            found = reader.runtime.result(handle.id)
            assert found.status == "REVOKED"
            with pytest.raises(TaskRevoked, match="closed without waiting"):
                found.get(60)


def test_a_close_that_waits_can_be_cut_short_by_one_that_does_not(om: Omega, gate: Gate, store_url: str) -> None:
    running = run(om, "held", 1, **gate.arguments)
    gate.wait_for_start()
    host = host_of(om)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(host.close) for _ in range(3)]
        host.close(wait=False)
        assert [each.result(60) for each in waiting] == [None] * 3
    with Omega(store_url) as reader:
        assert reader.runtime.result(running.id).status == "REVOKED"
    host.close()


def test_a_host_that_is_closed_takes_nothing_and_opens_nothing(om: Omega) -> None:
    with capture_calls(om.runtime) as calls:
        assert value(run(om, "echo", 1)) == 1
    host, url = host_of(om), om.store.url
    om.close()
    assert isinstance(host.submit(calls[0].payload).exception(), RuntimeClosed)
    assert url not in {opened for _, opened in shared_stores._users}


def test_close_leaves_no_descriptor_behind(store_url: str) -> None:
    before = descriptors()
    for _ in range(2):
        with Omega(store_url, OmegaRuntimeLocal(workers=2)) as om:
            om.runtime.ping()
    assert descriptors() == before


# -- stores ------------------------------------------------------------------------------------------------------


def captured(om: Omega) -> Call:
    with capture_calls(om.runtime, deliver=False) as calls:
        run(om, "echo", "captured")
    return calls[0]


def test_two_stores_are_served_by_one_host(om: Omega, tmp_path: Path) -> None:
    other = Omega(f"sqlite:///{tmp_path}/other")
    other.scripts.put(om.scripts.get("echo"), "echo")
    other.runtime = om.runtime
    assert value(run(other, "echo", "other")) == "other"
    assert value(run(om, "echo", "own")) == "own"
    assert len(host_of(om).sites.all()) == 2
    om.close()
    assert value(run(other, "echo", "still")) == "still"
    other.close()


def test_a_call_about_another_store_is_refused_and_both_are_named(om: Omega, store_url: str, tmp_path: Path) -> None:
    call, old = captured(om), om.store.id
    om.close(wait=False)
    (tmp_path / "store").rename(tmp_path / "moved")
    with Omega(store_url, OmegaRuntimeLocal(workers=1)) as fresh:
        assert fresh.store.id != old
        refused = host_of(fresh).submit(call.payload).exception(60)
        assert isinstance(refused, StoreUnavailable)
        assert old in str(refused)
        assert fresh.store.id in str(refused)


def test_a_call_about_a_store_that_is_gone_makes_none(om: Omega, tmp_path: Path) -> None:
    call = captured(om)
    om.close(wait=False)
    (tmp_path / "store").rename(tmp_path / "moved")
    host = Host("local", {"default": 1}, om.session.auth)
    try:
        assert isinstance(host.submit(call.payload).exception(60), StoreUnavailable)
    finally:
        host.close()
    assert not (tmp_path / "store").exists()


# -- start -------------------------------------------------------------------------------------------------------


def broken_interpreter(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    return {"PYTHONHOME": "/nonexistent"}


def missing_interpreter(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    return {}


@pytest.mark.parametrize(
    ("trouble", "said"),
    [(broken_interpreter, "exited with code 1 before it was ready"), (missing_interpreter, "/nonexistent/python")],
)
def test_a_runner_that_cannot_start_is_told_with_its_output_and_nothing_stays(
    trouble: Callable[[pytest.MonkeyPatch], dict[str, str]],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = descriptors()
    env = trouble(monkeypatch)
    with pytest.raises(BackendUnavailable) as caught:
        Host("local", {"default": 2}, Auth("tester", "key"), env=env)
    assert said in str(caught.value)
    assert descriptors() == before
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_fails_for_a_moment_stops_neither_clock_nor_worker(
    om: Omega, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run(om, "held", 1, **gate.arguments)
    gate.wait_for_start()
    (site,) = host_of(om).sites.all()
    failures = []

    def fails_once(task: str) -> Any:
        monkeypatch.undo()
        failures.append(task)
        raise StoreUnavailable("for a moment")

    monkeypatch.setattr(site.ledger, "state", fails_once)
    # Somebody else ends the task, which the host has to find out by itself.
    assert om.session.ledger.close_task(running.id, 1, made.end("REVOKED"))[1]
    eventually(lambda: failures, "that the host looks")
    with pytest.raises(TaskTimeout):
        run(om, "shell", "import time; time.sleep(3600)", require={"timeout": 0.1}).get(60)
    assert value(run(om, "echo", "next")) == "next"
    om.close()


def test_effects_are_made_current_however_long_the_store_takes(om: Omega, monkeypatch: pytest.MonkeyPatch) -> None:
    om.models.put(LinearRegression(), "line")
    host_of(om)
    assert value(run(om, "echo", 1)) == 1
    (site,) = host_of(om).sites.all()
    commit, failures = site.store.commit, list[int]()

    def fails_twice(groups: Any) -> Any:
        if groups[0].space is Space.OBJECTS and len(failures) < 2:
            failures.append(1)
            raise StoreUnavailable("for a moment")
        return commit(groups)

    monkeypatch.setattr(site.store, "commit", fails_twice)
    fitted = om.runtime.model("line").fit([[1.0], [2.0]], [1.0, 2.0])
    assert fitted.get(60).name == "line"
    eventually(lambda: len(failures) == 2, "that it is tried again")
    assert om.models.get("line").predict([[3.0]]) == pytest.approx([3.0])
    assert value(run(om, "echo", "next")) == "next"
