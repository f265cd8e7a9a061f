"""Tasks that wait for tasks: whoever waits keeps its runner, others have its place, and everybody ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omruntime import Auth, Omega, virtualobj
from omruntime.errors import TaskRevoked, TaskTimeout, UnsupportedCapability, WorkerLost
from omruntime.worker import crew
from omruntime.worker.host import Host
from omruntime.worker.slot import Slot
from omruntime.worker.waits import SPARES_VARIABLE
from tests.worker.gates import Gate, alive, eventually, run, value
from tests.worker.test_host import host_of, only_pid


@virtualobj
def parent(data: Any = None, om: Any = None, started: str = "", goes_on: str = "", seconds: Any = None) -> Any:
    """Wait for a task that waits at a gate."""
    child = om.runtime.script("held").run(data, started=started, goes_on=goes_on)
    if seconds is not None:
        try:
            child.get(seconds)
        except TimeoutError:
            open(started + "-gave-up", "w").close()
    return child.get()["result"]


@virtualobj
def forked(data: Any = None, om: Any = None) -> Any:
    """Wait for a task in a forked child, which the host knows nothing of."""
    import os
    import warnings

    handle = om.runtime.script("echo").run("of the parent")
    handle.get()
    warnings.simplefilter("ignore", DeprecationWarning)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if handle.get(20)["result"] == "of the parent" else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@virtualobj
def chain(data: int = 0, om: Any = None) -> int:
    return 0 if data == 0 else 1 + om.runtime.script("chain").run(data - 1).get()["result"]


@virtualobj
def leaves_a_thread(data: Any = None, om: Any = None, started: str = "", goes_on: str = "") -> str:
    """End while a thread of its own still waits for another task."""
    import threading

    child = om.runtime.script("held").run(data, started=started, goes_on=goes_on)
    threading.Thread(target=child.get, daemon=True).start()
    return str(child.id)


@pytest.fixture
def nested(om: Omega) -> Iterator[Omega]:
    """One worker."""
    for script in (parent, forked, chain, leaves_a_thread):
        om.scripts.put(script, script.__name__)
    host = host_of(om)
    yield om
    eventually(lambda: not any(slot.waits for slot in host.slots), "that nobody is thought to wait any more")


def spares(om: Omega) -> list[Slot]:
    return [slot for slot in host_of(om).slots if slot.spare]


def waiting_parent(om: Omega, gate: Gate, **terms: Any) -> tuple[Any, int]:
    """A task that waits for another one, which is held at the gate; and the process of the other one."""
    handle = run(om, "parent", "child's", require=terms, **gate.arguments)
    return handle, gate.wait_for_start()


def test_others_have_the_place_of_a_task_that_waits(nested: Omega, gate: Gate) -> None:
    pid = only_pid(nested)
    waiting, child = waiting_parent(nested, gate)
    assert child != pid
    queued = run(nested, "echo", "queued")
    assert queued.status == "PENDING", "there is one worker, so one task is at work"
    assert only_pid(nested) == pid
    gate.open()
    assert value(waiting) == "child's"
    assert value(queued) == "queued"
    assert len(spares(nested)) == 1


def test_a_spare_is_kept_warm_and_then_let_go(nested: Omega, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    assert value(run(nested, "chain", 1)) == 1
    (spare,) = spares(nested)
    assert value(run(nested, "chain", 1)) == 1
    assert spares(nested) == [spare]
    pid = spare.pid
    monkeypatch.setattr(crew, "WARM", 0.0)
    host = host_of(nested)
    eventually(lambda: not spares(nested), "the end of the spare")
    eventually(lambda: not alive(pid) and not (host._scratch / spare.name).exists(), "the end of its runner")
    eventually(lambda: host._crew.is_plain, "that everything is as before")
    assert value(run(nested, "chain", 2)) == 2


def test_a_chain_needs_no_more_spares_than_it_is_long(nested: Omega) -> None:
    assert value(run(nested, "chain", 5)) == 5
    assert len(spares(nested)) == 5
    assert [value(each) for each in [run(nested, "chain", 5) for _ in range(5)]] == [5] * 5
    assert len(spares(nested)) == 5


def test_a_task_that_stops_waiting_is_at_work_again(nested: Omega, gate: Gate) -> None:
    waiting = run(nested, "parent", 1, **gate.arguments, seconds=0.2)
    gate.wait_for_start()
    eventually(Path(gate.started + "-gave-up").exists, "that it has given up")
    gate.open()
    assert value(waiting) == 1


def test_a_task_that_waits_can_be_cancelled(nested: Omega, gate: Gate) -> None:
    waiting, _ = waiting_parent(nested, gate)
    pid = only_pid(nested)
    assert waiting.cancel()
    with pytest.raises(TaskRevoked):
        waiting.get(60)
    eventually(lambda: not alive(pid), "the end of the cancelled task's process")
    gate.open()
    assert value(run(nested, "echo", "next")) == "next"


def test_the_limit_of_a_task_counts_while_it_waits(nested: Omega, gate: Gate) -> None:
    # Long enough for it to come to its waiting, on a busy machine too.
    waiting, _ = waiting_parent(nested, gate, timeout=2)
    with pytest.raises(TaskTimeout):
        waiting.get(60)
    gate.open()
    assert value(run(nested, "echo", "next")) == "next"


def test_a_task_that_is_killed_while_it_waits_runs_again(nested: Omega, tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    waiting, _ = waiting_parent(nested, gate, retries=1)
    os.kill(only_pid(nested), signal.SIGKILL)
    gate.open()
    gate.wait_for_start()
    gate.open()
    assert value(waiting) == "child's"
    assert nested.session.ledger.state(waiting.id).attempt == 2


def test_one_who_waits_for_a_task_that_dies_is_told(nested: Omega, gate: Gate) -> None:
    nested.scripts.put(virtualobj(lambda data=None, om=None: om.runtime.script("shell").run(data).get()), "asks")
    with pytest.raises(WorkerLost):
        run(nested, "asks", "import os; os._exit(3)").get(60)


def test_close_without_waiting_ends_waiting_tasks_too(nested: Omega, gate: Gate, store_url: str) -> None:
    waiting, child = waiting_parent(nested, gate)
    pids = [slot.pid for slot in host_of(nested).slots]
    nested.close(wait=False)
    assert not any(alive(pid) for pid in (*pids, child))
    with Omega(store_url) as reader:
        assert reader.runtime.result(waiting.id).status == "REVOKED"


def test_a_task_of_another_runtime_can_be_waited_for(nested: Omega, gate: Gate, store_url: str) -> None:
    """Nobody pushes its end to this host: whoever waits finds it in the ledger."""
    from omruntime import OmegaRuntimeLocal

    with Omega(store_url, OmegaRuntimeLocal(workers=1)) as other:
        held = run(other, "held", "of another", **gate.arguments)
        gate.wait_for_start()
        waiting = run(nested, "reads", held)
        eventually(lambda: waiting.status == "STARTED", "that it waits")
        gate.open()
        assert value(waiting) == "of another"


def test_a_forked_child_reads_the_ledger(nested: Omega) -> None:
    assert value(run(nested, "forked")) == 0


def test_a_thread_that_a_task_leaves_behind_is_nobody_who_waits(nested: Omega, gate: Gate) -> None:
    ended = run(nested, "leaves_a_thread", 7, **gate.arguments)
    child = value(ended)
    gate.wait_for_start()
    assert not any(slot.waits for slot in host_of(nested).slots)
    gate.open()
    assert value(nested.runtime.result(str(child))) == 7
    assert value(run(nested, "chain", 1)) == 1


def test_no_more_tasks_wait_than_may(om: Omega, monkeypatch: pytest.MonkeyPatch, store_url: str) -> None:
    om.scripts.put(chain, "chain")
    host_of(om)._waits._limit = 2
    assert value(run(om, "chain", 2)) == 2
    with pytest.raises(UnsupportedCapability, match="2 tasks of this host wait for others already") as caught:
        run(om, "chain", 3).get(60)
    assert caught.value.capability == "NESTED_WAIT"
    assert value(run(om, "chain", 2)) == 2


@pytest.mark.parametrize("given", ["many", "-1", "1.5"])
def test_a_limit_that_is_none_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SPARES_VARIABLE, given)
    with pytest.raises(ValueError, match=f"OMRUNTIME_SPARES='{given}' must be a whole number"):
        Host("local", {"default": 1}, Auth("tester", "key"))


def test_where_no_spare_can_be_started_waiting_is_refused_and_the_task_goes_on(
    nested: Omega, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = sys.executable
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(UnsupportedCapability, match=r"no worker can be started.*/nonexistent/python"):
        run(nested, "chain", 1).get(60)
    monkeypatch.setattr(sys, "executable", python)
    assert value(run(nested, "chain", 1)) == 1
