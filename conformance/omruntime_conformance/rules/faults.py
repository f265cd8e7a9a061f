"""Faults: workers that die, are stopped, or are given the same call twice."""

from __future__ import annotations

import os
from typing import Any

from omruntime import AsyncResult, virtualobj
from omruntime.errors import StoreUnavailable, WorkerLost
from omruntime.testing import capture_calls
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held, note, pass_gate, suicidal


@virtualobj
def _dies(data: str = "", log: str = "") -> None:
    """Print something, then end the process, or have all memory used up, in one of the ways there are."""
    import ctypes
    import resource
    import signal

    note(log, "start", data)
    print(*(f"line {number}" for number in range(100)), "last words", sep="\n")  # noqa: T201
    if data == "exits":
        os._exit(7)
    elif data == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif data == "reads where nothing is":
        ctypes.string_at(0)
    elif data == "aborts":
        os.abort()
    elif data == "wants too much memory":
        resource.setrlimit(resource.RLIMIT_AS, (1 << 33, resource.getrlimit(resource.RLIMIT_AS)[1]))
        bytearray(1 << 40)


@virtualobj
def _who(data: Any = None, log: str = "", gate: str = "") -> int:
    """Note start and end, and return the process that has got to the end."""
    note(log, "start", "who")
    pass_gate(gate)
    note(log, "end", "who")
    return os.getpid()


@rule("FLT-001", own_cluster=True)
def killed_worker_runs_again(ctx: Context) -> None:
    """A task whose worker process is killed runs again on another, and its result is the same.

    Memory runs out and machines are taken away. Look for an engine that reports the lost worker as the task's error,
    or that begins the task again beside the ledger's attempt.
    """
    gate = ctx.gate()
    value = {"exactly": ["this", 1.5]}
    handle = ctx.deploy(held).run(value, log=str(ctx.log), gate=str(gate))
    for attempt in (1, 2):
        running = ctx.begun(handle, "task", attempt)[-1]
        assert handle.status == "STARTED"
        ctx.kill(running.pid)
    ctx.begun(handle, "task", 3)
    gate.open()
    assert ctx.value(handle) == value
    assert handle.status == "SUCCESS"
    assert len({entry.pid for entry in ctx.log.starts()}) == 3
    assert len(ctx.log.entries("end")) == 1


@rule("FLT-002", own_cluster=True)
def deadly_task_ends(ctx: Context) -> None:
    """A task that kills its worker every time ends as FAILURE with WorkerLost after a bounded number of attempts, and the other tasks finish.

    A task that kills workers would otherwise kill all of them, one after the other.
    """  # noqa: E501
    runtime = ctx.om.runtime
    ctx.deploy(held)
    ctx.deploy(suicidal)
    log = str(ctx.log)
    before = [runtime.script("held").run(number, log=log, name="other") for number in range(3)]
    # A lost worker is retried twice unless the call says otherwise.
    deadly = runtime.script("suicidal").run(log=log, name="deadly")
    once = runtime.require(retries=0).script("suicidal").run(log=log, name="once")
    five = runtime.require(retries=4).script("suicidal").run(log=log, name="five")
    after = [runtime.script("held").run(number, log=log, name="other") for number in range(3)]
    assert [ctx.value(handle) for handle in before + after] == [0, 1, 2, 0, 1, 2]
    for handle, name, attempts in ((deadly, "deadly", 3), (once, "once", 1), (five, "five", 5)):
        error = ctx.fails(handle, WorkerLost)
        assert handle.status == "FAILURE"
        assert len(ctx.log.starts(name)) == attempts
        assert (error.attempt, error.signal, error.task) == (attempts, 9, handle.id)
    assert len(ctx.log.starts("other")) == 6


@rule("FLT-005")
def delivered_twice_completes_once(ctx: Context) -> None:
    """A task delivered twice by the engine completes once.

    Brokers deliver at least once. Which delivery runs is decided by the claim, and by nothing of the engine's.
    """
    gate = ctx.gate()
    backend = ctx.om.runtime.backend
    script = ctx.deploy(_who, "who")
    with capture_calls(ctx.om.runtime) as calls:
        handle: AsyncResult = script.run(log=str(ctx.log), gate=str(gate))
    call = calls[0]
    ctx.log.wait("start")
    for _ in range(3):
        backend.submit(call)
    # Other slots are free all the time: a task behind the duplicates shows that they have been dealt with.
    other = ctx.deploy(held).run("other", log=str(ctx.log), name="other")
    ctx.wait(lambda: other.ready() or len(ctx.log.starts("who")) > 1, "a task behind those delivered again")
    assert len(ctx.log.starts("who")) == 1, "it was started again while it ran"
    assert ctx.value(other) == "other"
    gate.open()
    first = ctx.value(handle)
    backend.submit(call)
    assert ctx.value(ctx.om.runtime.script("held").run("again", log=str(ctx.log), name="other")) == "again"
    assert [entry.pid for entry in ctx.log.starts("who")] == [first]
    assert len(ctx.log.entries("end", "who")) == 1
    assert ctx.value(ctx.om.runtime.result(handle.id)) == first
    assert handle.status == "SUCCESS"


_WORKS = """
om = Omega()
script = om.runtime.script("held")
handles = [script.run(number, log=argv[0], name=str(number), gate=argv[1]) for number in range(6)]
answer([handle.id for handle in handles])
try:
    import os, time
    while not os.path.exists(argv[2]):
        time.sleep(0.01)
    late = script.run("late", log=argv[0], name="late")
    answer(late.id)
except errors.StoreUnavailable:
    answer(None)
answer([handle.get(timeout=60)["result"] for handle in handles])
om.close()
"""
_LOOKS = """
om = Omega()
while True:
    answer([om.runtime.result(id).status for id in argv])
"""


@rule("FLT-007")
def the_store_goes_and_comes_back(ctx: Context) -> None:
    """The store unreachable for a while: tasks wait or fail clearly, none vanishes.

    Disks fill and servers restart. Nothing that was submitted or done may be lost over it.
    """
    gate, gone = ctx.gate("gate"), ctx.gate("gone")
    ctx.deploy(held)
    lease = {"OMRUNTIME_LEASE": "1"}
    worker = ctx.subprocess(_WORKS, ctx.log, gate, gone, runtime=ctx.private_url, **lease)
    ids = worker.answer(1)
    ctx.log.wait("start")
    observer = ctx.subprocess(_LOOKS, *ids, runtime=ctx.private_url, **lease)
    observer.answer(1)
    with ctx.without_store():
        gate.open()
        gone.open()
        # Several times as long as a host may be silent: whoever looks on must not take it for dead.
        ctx.wait.let_pass(3.0)
    late = worker.answer(2)
    assert worker.answer(3) == [*range(6)]
    worker.exit()
    if late is not None:
        assert ctx.value(ctx.om.runtime.result(late)) == "late"
    assert [ctx.om.runtime.result(id).status for id in ids] == ["SUCCESS"] * 6
    assert sorted(entry.name for entry in ctx.log.starts() if entry.name != "late") == [str(n) for n in range(6)]
    assert len(ctx.log.starts("late")) == (late is not None)


@rule("FLT-010", rests_on=("RES-004",))
def content_goes_and_comes_back(ctx: Context) -> None:
    """Content of the store that cannot be read for a while is StoreUnavailable to the task or the reader that needs it, and reads as before when it is back.

    A value that cannot be read now is not one that has expired; who is told so will ask again.
    """  # noqa: E501
    value = os.urandom(2_000_000)
    script = ctx.deploy(held)
    done = script.run(value, log=str(ctx.log), name="done")
    assert ctx.value(done) == value
    # No worker has loaded this one yet.
    later = ctx.deploy(held, "later")
    with ctx.without_content():
        for reader in (done, ctx.om.runtime.result(done.id)):
            ctx.fails(reader, StoreUnavailable)
            assert reader.status == "SUCCESS", "the task is over, whatever can be read of it"
        failed = later.run(log=str(ctx.log), name="failed")
        assert "later" in str(ctx.fails(failed, StoreUnavailable))
        assert failed.status == "FAILURE"
    assert not ctx.log.starts("failed")
    for reader in (done, ctx.om.runtime.result(done.id)):
        assert ctx.value(reader) == value
    assert ctx.value(later.run("again", log=str(ctx.log), name="again")) == "again"
    assert len(ctx.log.starts("done")) == 1


@rule("FLT-008", own_cluster=True)
def woken_worker_changes_nothing(ctx: Context) -> None:
    """A worker that was stopped, lost its lease and wakes up changes nothing.

    A worker that was taken for dead, and has only slept, comes back with an outcome that another attempt has
    replaced.
    """
    gate = ctx.gate()
    handle = ctx.deploy(_who, "who").run(log=str(ctx.log), gate=str(gate))
    stopped = ctx.log.wait("start", "who")[0].pid
    ctx.stop(stopped)
    second = ctx.begun(handle, "who", 2)[1].pid
    assert second != stopped
    gate.open()
    assert ctx.value(handle) == second
    ctx.wake(stopped)
    # It has either been ended, or it goes through the open gate to its own end, too late.
    ctx.wait(lambda: not ctx.alive(stopped) or len(ctx.log.entries("end", "who")) == 2, "the woken worker")
    assert ctx.value(ctx.deploy(held).run("next", log=str(ctx.log), name="next")) == "next"
    for reader in (handle, ctx.om.runtime.result(handle.id)):
        assert ctx.value(reader) == second
        assert reader.status == "SUCCESS"
    assert len(ctx.log.starts("who")) == 2


@rule("FLT-009", own_cluster=True)
def how_a_worker_died(ctx: Context) -> None:
    """WorkerLost says how the worker died: signal or exit code, the attempt, and the last lines that it printed; MemoryError is the task's own failure.

    A worker that has vanished has left no traceback; this is all there is to find the reason by.
    """  # noqa: E501
    ctx.deploy(held)
    ctx.deploy(_dies, "dies")
    deaths = {"exits": (None, 7), "is killed": (9, None), "reads where nothing is": (11, None), "aborts": (6, None)}
    for attempts, (way, (signal, code)) in enumerate(deaths.items(), 1):
        handle = ctx.om.runtime.require(retries=attempts - 1).script("dies").run(way, log=str(ctx.log))
        error = ctx.fails(handle, WorkerLost)
        assert (error.signal, error.exitcode, error.attempt, error.task) == (signal, code, attempts, handle.id)
        assert error.output.splitlines()[-3:] == ["line 98", "line 99", "last words"]
        assert "line 0" not in error.output.splitlines(), "the last lines are wanted, not all of them"
        named = f"code {code}" if signal is None else {9: "SIGKILL", 11: "SIGSEGV", 6: "SIGABRT"}[signal]
        assert named in str(error)
        assert "last words" in str(error)
        assert f"attempt {attempts}" in str(error)
        assert handle.status == "FAILURE"
        assert handle.logs().endswith("last words\n")
        assert len(ctx.log.starts(way)) == attempts
    greedy = ctx.om.runtime.script("dies").run("wants too much memory", log=str(ctx.log))
    ctx.fails(greedy, MemoryError)
    assert len(ctx.log.starts("wants too much memory")) == 1
    assert ctx.value(ctx.om.runtime.script("held").run("next", log=str(ctx.log), name="next")) == "next"
