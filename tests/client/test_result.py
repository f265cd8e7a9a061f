"""Handles: the same task wherever they are, and right in every state of it."""

from __future__ import annotations

import asyncio
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from omruntime import AsyncResult, Omega, OmegaRuntime, OmegaRuntimeLocal
from omruntime.abc import Capability
from omruntime.errors import (
    ResultExpired,
    ResultTimeout,
    RuntimeClosed,
    StoreUnavailable,
    TaskRevoked,
    UnknownTask,
    UnsupportedCapability,
)
from omruntime.ledger import Request, new_id
from omruntime.local.backend import LocalBackend
from tests.ledger.made import claim, end
from tests.worker.conftest import deploy
from tests.worker.gates import Gate, eventually, run, value


def found(handle: AsyncResult, om: Omega) -> AsyncResult:
    """The same task as somebody else finds it."""
    return om.runtime.result(handle.id)


# -- identity ----------------------------------------------------------------------------------------------------


def test_handles_of_one_task_are_equal_and_hash_alike(om: Omega) -> None:
    one, other = run(om, "echo", 1), run(om, "echo", 1)
    assert one == found(one, om)
    assert hash(one) == hash(found(one, om))
    assert one != other
    assert one != one.id
    assert {one, found(one, om), other} == {one, other}
    assert repr(one) == f"<AsyncResult: {one.id}>"
    assert one.task_id == one.id


def test_a_pickled_handle_is_the_same_task_in_an_omega_that_is_open(om: Omega) -> None:
    handle = run(om, "echo", 5)
    copy = pickle.loads(pickle.dumps(handle))
    assert copy == handle
    assert value(copy) == 5
    assert copy._session is om.session


def test_a_pickled_handle_works_in_a_fresh_process(om: Omega) -> None:
    pickled = pickle.dumps(run(om, "echo", [1, "a"]))
    assert b"tests that protects" not in pickled
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).get(60)['result'])"
    done = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True)
    assert done.stdout == b"[1, 'a']\n"
    assert done.stderr == b""


def test_a_pickled_handle_of_a_store_that_is_gone_says_so_and_makes_none(om: Omega, tmp_path: Path) -> None:
    handle = run(om, "echo", 1)
    assert value(handle) == 1
    pickled = pickle.dumps(handle)
    om.close()
    shutil.rmtree(tmp_path / "store")
    copy = pickle.loads(pickled)
    for use in (copy.get, copy.ready, copy.logs):
        with pytest.raises(StoreUnavailable, match="there is no store"):
            use()
    assert not (tmp_path / "store").exists()


# -- states ------------------------------------------------------------------------------------------------------


def states(handle: AsyncResult) -> tuple[object, ...]:
    return (handle.status, handle.ready(), handle.successful(), handle.failed(), handle.result, handle.traceback)


def test_what_a_handle_says_in_each_state(om: Omega, gate: Gate) -> None:
    running = run(om, "held", "value", **gate.arguments)
    gate.wait_for_start()
    queued, failing = run(om, "echo", 1), run(om, "fails", "reason")
    for handle in (running, found(running, om)):
        assert states(handle) == ("STARTED", False, False, False, None, None)
        assert (handle.logs(), handle.forget()) == ("", False)
    for handle in (queued, found(queued, om)):
        assert states(handle) == ("PENDING", False, False, False, None, None)
        assert (handle.logs(), handle.forget()) == ("", False)
    queued.cancel()
    gate.open()
    with pytest.raises(ValueError, match="reason"):
        failing.get(60)
    assert value(running) == "value"
    for handle in (running, found(running, om)):
        assert (handle.status, handle.ready(), handle.successful(), handle.failed()) == ("SUCCESS", True, True, False)
        assert (handle.result["result"], handle.traceback, handle.cancel()) == ("value", None, False)
    for handle in (failing, found(failing, om)):
        assert (handle.status, handle.ready(), handle.successful(), handle.failed()) == ("FAILURE", True, False, True)
        assert isinstance(handle.result, ValueError)
        assert handle.traceback is not None
        assert "raise ValueError(data)" in handle.traceback
    for handle in (queued, found(queued, om)):
        assert (handle.status, handle.ready(), handle.successful(), handle.failed()) == (
            "REVOKED",
            True,
            False,
            False,
        )
        assert isinstance(handle.result, TaskRevoked)
        assert handle.traceback is None


def test_each_reader_gets_a_fresh_copy(om: Omega) -> None:
    handle = run(om, "echo", [1])
    first = handle.get(60)
    first["result"].append(2)
    assert handle.get()["result"] == [1]
    failing = run(om, "fails", "x")
    with pytest.raises(ValueError, match="x") as one:
        failing.get(60)
    with pytest.raises(ValueError, match="x") as other:
        failing.get(60)
    assert one.value is not other.value


def test_a_forgotten_task_is_forgotten_by_all_its_handles(om: Omega) -> None:
    handle = run(om, "echo", 1)
    assert value(handle) == 1
    other = found(handle, om)
    assert other.forget() is True
    assert handle.forget() is True
    for use in (other.get, other.ready, lambda: other.status, handle.get, handle.logs):
        with pytest.raises(ResultExpired):
            use()
    with pytest.raises(ResultExpired):
        asyncio.run(awaiting(other))
    assert isinstance(other.future().exception(60), ResultExpired)


def test_an_id_that_was_never_issued_is_unknown(om: Omega) -> None:
    with pytest.raises(UnknownTask, match="no-such-id"):
        om.runtime.result("no-such-id")


# -- waiting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_get_with_no_time_gives_what_is_there_and_never_waits(om: Omega, gate: Gate, timeout: float) -> None:
    running = run(om, "held", 1, **gate.arguments)
    gate.wait_for_start()
    for handle in (running, found(running, om)):
        with pytest.raises(ResultTimeout, match="it goes on"):
            handle.get(timeout)
    gate.open()
    assert value(running) == 1
    for handle in (running, found(running, om), pickle.loads(pickle.dumps(running))):
        assert handle.get(timeout)["result"] == 1


def test_asking_often_costs_no_more_than_asking_once(om: Omega, gate: Gate) -> None:
    running = run(om, "held", 1, **gate.arguments)
    gate.wait_for_start()
    handle = found(running, om)
    for _ in range(20):
        with pytest.raises(ResultTimeout):
            handle.get(timeout=0)
    assert len(om.session.watcher._watched[handle.id]) == 1
    gate.open()
    assert value(handle) == 1


def test_many_threads_get_the_same(om: Omega, gate: Gate) -> None:
    running = run(om, "held", "value", **gate.arguments)
    gate.wait_for_start()
    by_id = found(running, om)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(value, handle) for handle in [running, by_id] * 4]
        gate.open()
        assert [each.result() for each in waiting] == ["value"] * 8


def test_who_waits_while_the_omega_is_closed_is_told(om: Omega, store_url: str) -> None:
    task = new_id()
    om.session.ledger.submit([(task, Request("somebody's task", "default", [], 0.0))])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(om.runtime.result(task).get)
        eventually(lambda: om.session.watcher._watched, "that it waits")
        om.close()
        assert isinstance(waiting.exception(60), RuntimeClosed)


class BackendWithoutWaiting(LocalBackend):
    capabilities = LocalBackend.capabilities - {Capability.NESTED_WAIT}


class RuntimeWithoutWaiting(OmegaRuntime):
    backend = BackendWithoutWaiting


def test_where_an_engine_cannot_have_tasks_wait_they_may_look(om: Omega, gate: Gate) -> None:
    """The engine has no spare worker for a task that waits, and would stand still."""
    om.runtime = RuntimeWithoutWaiting(workers=1)
    done = run(om, "echo", "done")
    assert value(done) == "done"
    with Omega(om.store.url, OmegaRuntimeLocal(workers=1)) as other:
        held = run(other, "held", 1, **gate.arguments)
        gate.wait_for_start()
        assert run(om, "reads", done).get(60)["result"] == "done"
        with pytest.raises(UnsupportedCapability, match="NESTED_WAIT"):
            run(om, "reads", held).get(60)
        gate.open()
        assert value(held) == 1


# -- futures and asyncio -----------------------------------------------------------------------------------------


async def awaiting(handle: AsyncResult) -> object:
    value = await handle
    return value["result"]


def test_many_are_awaited_at_once_and_the_loop_goes_on(om: Omega, gate: Gate) -> None:
    async def main() -> list[object]:
        running = run(om, "held", 0, **gate.arguments)
        handles = [running, *(run(om, "echo", number) for number in range(1, 20))]
        handles += [found(handle, om) for handle in handles]
        tasks = [asyncio.ensure_future(awaiting(handle)) for handle in handles]
        await asyncio.to_thread(gate.wait_for_start)
        assert not any(task.done() for task in tasks)
        await asyncio.to_thread(gate.open)
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [*range(20), *range(20)]


def test_a_failure_is_raised_where_it_is_awaited(om: Omega) -> None:
    with pytest.raises(ValueError, match="reason"):
        asyncio.run(awaiting(run(om, "fails", "reason")))


def test_who_stops_awaiting_leaves_the_task_alone(om: Omega, gate: Gate) -> None:
    running = run(om, "held", 1, **gate.arguments)
    gate.wait_for_start()

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(awaiting(running), 0.01)

    asyncio.run(main())
    assert running.status == "STARTED"
    gate.open()
    assert asyncio.run(awaiting(running)) == 1


def test_a_future_brings_value_or_error_and_its_cancel_leaves_the_task_alone(om: Omega, gate: Gate) -> None:
    running = run(om, "held", 1, **gate.arguments)
    gate.wait_for_start()
    dropped, kept = running.future(), running.future()
    assert dropped.cancel()
    gate.open()
    assert kept.result(60)["result"] == 1
    with pytest.raises(CancelledError):
        dropped.result(0)
    assert running.future().result(60)["result"] == 1
    assert found(running, om).future().result(60)["result"] == 1
    assert isinstance(run(om, "fails", 1).future().exception(60), ValueError)


@pytest.mark.parametrize("how", ["get", "await", "future"])
def test_an_engine_that_does_not_know_the_outcome_leaves_it_to_the_ledger(om: Omega, how: str) -> None:
    outcome = om.session.ledger.state(finished(om)).end
    assert outcome is not None
    task = new_id()
    om.session.ledger.submit([(task, Request("n", "default", [], 0.0))])
    om.session.ledger.claim(task, claim("h-elsewhere"))
    pushed: Future[bytes] = Future()
    handle = AsyncResult(task, om.session, om.runtime, pushed)
    uses = {
        "get": handle.get,
        "await": lambda: asyncio.run(awaiting(handle)),
        "future": lambda: handle.future().result(),
    }
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(uses[how])
        pushed.set_result(b"")
        eventually(lambda: task in om.session.watcher._watched, "that the ledger is watched")
        # What the task's own outcome would be; this one is signed for another, which says that it was read.
        om.session.ledger.end(task, 1, end(outcome=outcome.outcome))
        assert "is that of task" in str(waiting.exception(60))


def finished(om: Omega) -> str:
    handle = run(om, "echo", 1)
    handle.get(60)
    return handle.id


# -- a store that goes -------------------------------------------------------------------------------------------


def test_a_store_that_is_removed_under_its_users_ends_in_errors_and_not_in_waiting(om: Omega, tmp_path: Path) -> None:
    assert value(run(om, "echo", 1)) == 1
    shutil.rmtree(tmp_path / "store")
    with Omega(f"sqlite:///{tmp_path}/other", OmegaRuntimeLocal(workers=1)) as other:
        assert value(run(deploy(other), "echo", 2)) == 2
    done = threading.Event()

    def use() -> None:
        try:
            run(om, "echo", 3).get(60)
        except Exception:  # noqa: BLE001 - any error, but an end
            pass
        done.set()

    threading.Thread(target=use, daemon=True).start()
    assert done.wait(60)
    om.close(wait=False)


# -- the client's own end ----------------------------------------------------------------------------------------

CLIENT = """
import os, signal, sys
# A shell starts what runs in its background with this signal ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
from omruntime import Omega, OmegaRuntimeLocal
from tests.worker.conftest import deploy
om = deploy(Omega(sys.argv[1], OmegaRuntimeLocal(workers=1)))
handles = [om.runtime.script("held").run(n, started=sys.argv[2], goes_on=sys.argv[3]) for n in range(2)]
print(handles[0].id, handles[1].id, om.runtime.workers()[0].pid, flush=True)
"""


def client(code: str, store_url: str, gate: Gate) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", CLIENT + code, store_url, gate.started, gate.goes_on]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


# Python 3.12 and later warn of any fork beside threads; what happens to those who fork all the same is the point.
FORK = "import warnings; warnings.simplefilter('ignore')\nif not os.fork(): sys.exit()"


@pytest.mark.parametrize("code", ["", FORK, "sys.exit(0)"])
def test_the_exit_of_the_interpreter_waits_for_open_tasks(store_url: str, gate: Gate, code: str) -> None:
    with client(code, store_url, gate) as process:
        for _ in range(2):
            gate.wait_for_start()
            gate.open()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    *ids, pid = out.split()
    with Omega(store_url) as om:
        assert [om.runtime.result(id).status for id in ids] == ["SUCCESS"] * 2
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("code", "statuses"),
    [
        ("handles[0].get()", ["SUCCESS", "SUCCESS"]),
        ("om.close()", ["REVOKED", "REVOKED"]),
    ],
)
def test_an_interrupt_ends_the_waiting(store_url: str, gate: Gate, code: str, statuses: list[str]) -> None:
    """In ``get()`` it ends that, and exit waits for the tasks; in the wait of ``close()`` it ends the tasks."""
    wrapped = f"""
import signal, threading
input()
import traceback
from tests.worker.gates import eventually
main = threading.main_thread().ident
def waits():
    stack = [each.name for each in traceback.extract_stack(sys._current_frames()[main])]
    return stack[-1] == "wait" and ("get" in stack or "close" in stack)
def interrupt():
    eventually(waits, "that the main thread waits")
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    {code}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    if code == "om.close()":
        wrapped += "    om.close(wait=False)\n"
    with client(wrapped, store_url, gate) as process:
        gate.wait_for_start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("now\n")
        process.stdin.flush()
        *ids, pid = process.stdout.readline().split()
        assert process.stdout.readline() == "interrupted\n"
        if statuses[0] == "SUCCESS":
            gate.open()
            gate.wait_for_start()
            gate.open()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    with Omega(store_url) as om:
        assert [om.runtime.result(id).status for id in ids] == statuses
    assert not Path(f"/proc/{pid}").exists()


def test_an_interrupt_while_the_exit_waits_ends_the_tasks(store_url: str, gate: Gate) -> None:
    code = "import atexit; atexit.register(print, 'exiting', flush=True)"
    with client(code, store_url, gate) as process:
        gate.wait_for_start()
        assert process.stdout is not None
        *ids, pid = process.stdout.readline().split()
        assert process.stdout.readline() == "exiting\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    with Omega(store_url) as om:
        assert [om.runtime.result(id).status for id in ids] == ["REVOKED"] * 2
    assert not Path(f"/proc/{pid}").exists()
