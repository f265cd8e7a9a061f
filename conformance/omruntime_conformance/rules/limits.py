"""Cancelling and limits of time: what is not to run never starts, and what is to stop does, whatever it is doing."""

from __future__ import annotations

from omruntime import AsyncResult, virtualobj
from omruntime.abc import Capability
from omruntime.errors import TaskError, TaskRevoked, TaskTimeout
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held, note

_ONE_WORKER = {"default": 1}
_WAYS = ("sleeps", "holds the lock in C", "holds the lock in a regular expression", "ignores signals", "has a child")


@virtualobj
def _endless(data: str = "", log: str = "") -> None:
    """Never end, in one of the ways there are."""
    import ctypes
    import re
    import signal
    import subprocess
    import sys
    import time

    print(f"this one {data}", flush=True)  # noqa: T201
    if data == "ignores signals":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    if data == "has a child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        note(log, "child", data, pid=child.pid)
    note(log, "start", data)
    if data == "holds the lock in C":
        # A function of PyDLL keeps the interpreter's lock: no other thread of this process runs any more.
        ctypes.PyDLL(None).sleep(3600)
    if data == "holds the lock in a regular expression":
        re.match(r"(a+)+$", "a" * 64 + "b")
    while True:
        time.sleep(3600)


@rule("CXL-001")
def cancelled_before_it_starts(ctx: Context) -> None:
    """A task cancelled before it starts never starts, and reads REVOKED.

    Cancelled means that it does not happen. Look for calls that a worker has taken ahead of their turn.
    """
    script = ctx.deploy(held)
    with ctx.busy():
        queued = [script.run(number, log=str(ctx.log), name=f"queued {number}") for number in range(4)]
        by_id = ctx.om.runtime.result(queued[1].id)
        assert queued[0].cancel()
        assert by_id.revoke()
        assert not queued[0].cancel(), "a second cancel() has nothing to cancel"
        for handle in queued[:2]:
            assert handle.status == "REVOKED"
            assert handle.ready()
            assert not handle.failed()
            assert ctx.fails(handle, TaskRevoked).task == handle.id
    assert [ctx.value(handle) for handle in queued[2:]] == [2, 3]
    assert [len(ctx.log.starts(f"queued {number}")) for number in range(4)] == [0, 0, 1, 1]
    assert not queued[2].cancel()
    assert queued[2].status == "SUCCESS"


def _cancel_is_refused(ctx: Context) -> None:
    gate = ctx.gate()
    running = ctx.deploy(held).run("goes on", log=str(ctx.log), gate=str(gate))
    ctx.log.wait("start")
    ctx.refuses(running.cancel, Capability.CANCEL_RUNNING)
    gate.open()
    assert ctx.value(running) == "goes on"


def _is_stopped(ctx: Context, handle: AsyncResult, way: str, error: type[TaskError], status: str) -> None:
    """Check that a task has ended for good, with all its processes, and that its worker takes the next one."""
    failure = ctx.fails(handle, error)
    assert (failure.task, handle.status) == (handle.id, status)
    pids = [entry.pid for entry in ctx.log.starts(way)]
    children = [entry.pid for entry in ctx.log.entries("child", way)]
    assert len(pids) == 1, "what was stopped on purpose must not be tried again"
    # Every slot there is takes a task again, that of the one that was stopped too.
    with ctx.busy():
        pass
    ctx.wait(lambda: not ctx.alive(pids[0]), f"the end of a process that {way}")
    ctx.wait(lambda: not any(map(ctx.child_runs, children)), "the end of the children of a task that was stopped")
    ctx.wait(lambda: f"this one {way}" in handle.logs(), "what the task had printed")
    assert handle.status == status
    assert ctx.om.runtime.result(handle.id).status == status


@rule(
    "CXL-002", workers=_ONE_WORKER, own_cluster=True, capability=Capability.CANCEL_RUNNING, refusal=_cancel_is_refused
)
def a_running_task_is_cancelled(ctx: Context) -> None:
    """A running task that is cancelled stops, its children too (capability CANCEL_RUNNING), and its worker takes the next task.

    A cancelled task that goes on holds a worker and writes what nobody wants. User code runs in a process that can be
    killed, with all that it has started.
    """  # noqa: E501
    ctx.deploy(held)
    script = ctx.deploy(_endless, "endless")
    for way in _WAYS:
        handle = script.run(way, log=str(ctx.log))
        ctx.log.wait("start", way)
        assert handle.cancel()
        _is_stopped(ctx, handle, way, TaskRevoked, "REVOKED")
        assert not handle.cancel()


def _timeout_is_refused(ctx: Context) -> None:
    script = ctx.om.runtime.require(timeout=60).script("held")
    ctx.deploy(held)
    ctx.refuses(lambda: script.run(log=str(ctx.log)), Capability.TIME_LIMIT)


@rule("CXL-003", workers=_ONE_WORKER, own_cluster=True, capability=Capability.TIME_LIMIT, refusal=_timeout_is_refused)
def a_task_over_its_limit_is_stopped(ctx: Context) -> None:
    """timeout= stops a task that runs over it, whatever it is doing, with TaskTimeout (capability TIME_LIMIT), and its worker takes the next task.

    Nothing that user code does, a loop in C or a blocked signal, may hold a worker for ever.
    """  # noqa: E501
    ctx.deploy(held)
    ctx.deploy(_endless, "endless")
    # Long enough for a new process to get as far as the task's own code.
    limit = 1.0 * ctx.harness.patience
    limited = ctx.om.runtime.require(timeout=limit)
    for way in _WAYS:
        handle = limited.script("endless").run(way, log=str(ctx.log))
        error = ctx.fails(handle, TaskTimeout)
        assert error.timeout == limit
        assert not isinstance(error, TimeoutError), "a loop around get(timeout) would never end"
        _is_stopped(ctx, handle, way, TaskTimeout, "FAILURE")
    _the_limit_is_that_of_the_run(ctx)


def _the_limit_is_that_of_the_run(ctx: Context) -> None:
    """What a task has waited for its worker is not counted; each attempt has the whole time."""
    limit = max(1.0, ctx.harness.patience)
    with ctx.busy():
        waits = ctx.om.runtime.require(timeout=limit).script("held").run("waits", log=str(ctx.log))
        again = ctx.om.runtime.require(timeout=limit, retries=1).script("endless").run("sleeps", log=str(ctx.log))
        ctx.wait.let_pass(1.2 * limit)
    assert ctx.value(waits) == "waits"
    ctx.fails(again, TaskTimeout)
    assert len(ctx.log.starts("sleeps")) == 1 + 2
