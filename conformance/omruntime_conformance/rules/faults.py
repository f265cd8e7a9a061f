"""Faults: workers that die, are stopped, or are given the same call twice."""

from __future__ import annotations

import os
from typing import Any

from omruntime import AsyncResult, virtualobj
from omruntime.errors import WorkerLost
from omruntime.testing import capture_calls
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held, note, pass_gate, suicidal


@virtualobj
def _who(data: Any = None, log: str = "", gate: str = "") -> int:
    """Note start and end, and return the process that has got to the end."""
    note(log, "start", "who")
    pass_gate(gate)
    note(log, "end", "who")
    return os.getpid()


@rule("FLT-001", own_cluster=True)
def killed_worker_runs_again(ctx: Context) -> None:
    """A task whose worker process is killed runs again on another, and its result is the same."""
    gate = ctx.gate()
    value = {"exactly": ["this", 1.5]}
    handle = ctx.deploy(held).run(value, log=str(ctx.log), gate=str(gate))
    for attempt in (1, 2):
        running = ctx.log.wait("start", count=attempt)[-1]
        assert handle.status == "STARTED"
        ctx.kill(running.pid)
    ctx.log.wait("start", count=3)
    gate.open()
    assert ctx.value(handle) == value
    assert handle.status == "SUCCESS"
    assert len({entry.pid for entry in ctx.log.starts()}) == 3
    assert len(ctx.log.entries("end")) == 1


@rule("FLT-002", own_cluster=True)
def deadly_task_ends(ctx: Context) -> None:
    """A task that kills its worker every time ends as FAILURE with WorkerLost after a bounded number of attempts, and the other tasks finish."""  # noqa: E501
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
    """A task delivered twice by the engine completes once."""
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
    assert ctx.value(other) == "other"
    gate.open()
    first = ctx.value(handle)
    backend.submit(call)
    assert ctx.value(ctx.om.runtime.script("held").run("again", log=str(ctx.log), name="other")) == "again"
    assert [entry.pid for entry in ctx.log.starts("who")] == [first]
    assert len(ctx.log.entries("end", "who")) == 1
    assert ctx.value(ctx.om.runtime.result(handle.id)) == first
    assert handle.status == "SUCCESS"


@rule("FLT-008", own_cluster=True)
def woken_worker_changes_nothing(ctx: Context) -> None:
    """A worker that was stopped, lost its lease and wakes up changes nothing."""
    gate = ctx.gate()
    handle = ctx.deploy(_who, "who").run(log=str(ctx.log), gate=str(gate))
    stopped = ctx.log.wait("start", "who")[0].pid
    ctx.stop(stopped)
    second = ctx.log.wait("start", "who", 2)[1].pid
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
