"""Canvas: steps that fail, are cancelled, or lose their worker; clients that die; the end of a runtime."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from omruntime import AsyncResult, CanvasResult, Omega, virtualobj
from omruntime.abc import Capability, Space
from omruntime.errors import (
    TaskError,
    TaskRevoked,
    UnknownTask,
    UpstreamFailed,
    WorkerLost,
)
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.steps import modelled, step, told
from omruntime_conformance.tasks import Trouble, note, pass_gate


def _deploy(ctx: Context) -> None:
    ctx.deploy(step)
    ctx.deploy(told)
    ctx.om.models.put(modelled, "modelled")


def _states(result: CanvasResult) -> list[str]:
    return [each.status for each in result.steps()]


def _never_ran(ctx: Context, handle: AsyncResult, because_of: AsyncResult) -> None:
    """Check what is said of a step that could not run any more."""
    error = ctx.fails(handle, UpstreamFailed)
    assert handle.status == "FAILURE"
    assert (error.task, error.upstream) == (handle.id, because_of.id)
    assert because_of.id in str(error)


@rule("CAN-006", rests_on=("CAN-001",), independent=True)
def a_failing_step_fails_the_canvas(ctx: Context) -> None:
    """A failing step fails the canvas with that step's error; later steps never run and read FAILURE with UpstreamFailed."""  # noqa: E501
    _deploy(ctx)
    _in_a_sequence(ctx)
    _in_a_mapreduce(ctx)
    _nested(ctx)
    assert not ctx.log.starts("never")


def _in_a_sequence(ctx: Context) -> None:
    log = str(ctx.log)
    for culprit in ("script", "model"):
        with ctx.om.runtime.sequence() as crt:
            crt.script("step").run("good", log=log)
            if culprit == "script":
                crt.script("step").run(log=log, fail="the third", name="third")
            else:
                crt.model("modelled").predict(log=log, fail="the third", name="third")
            crt.script("step").run(log=log, name="never")
            crt.model("modelled").predict(log=log, name="never")
            result = crt.run()
        for handle in (result, ctx.om.runtime.result(result.id)):
            assert ctx.fails(handle, Trouble).args == ("the third",)
            assert handle.status == "FAILURE"
            assert handle.failed()
            assert isinstance(handle.result, Trouble)
            assert "steps.py" in str(handle.traceback)
        steps = result.steps()
        assert _states(result) == ["SUCCESS", "FAILURE", "FAILURE", "FAILURE"]
        assert ctx.value(steps[0]) == "good"
        assert ctx.fails(steps[1], Trouble).args == ("the third",)
        for each in steps[2:]:
            _never_ran(ctx, each, steps[1])
        with pytest.raises(Trouble, match="the third"):
            result.getall()
        values = result.getall(return_exceptions=True)
        assert [type(each) for each in values] == [dict, Trouble, UpstreamFailed, UpstreamFailed]


def _in_a_mapreduce(ctx: Context) -> None:
    log = str(ctx.log)
    with ctx.om.runtime.mapreduce() as crt:
        crt.script("step").run(1, log=log)
        crt.script("step").run(log=log, fail="a map")
        crt.script("step").run(3, log=log)
        crt.script("step").run(log=log, name="never")
        result = crt.run()
    assert ctx.fails(result, Trouble).args == ("a map",)
    steps = result.steps()
    assert _states(result) == ["SUCCESS", "FAILURE", "SUCCESS", "FAILURE"]
    assert [ctx.value(steps[0]), ctx.value(steps[2])] == [1, 3]
    _never_ran(ctx, steps[3], steps[1])


def _nested(ctx: Context) -> None:
    log = str(ctx.log)
    with ctx.om.runtime.sequence() as crt:
        with crt.parallel() as both:
            both.script("step").run("good", log=log)
            with both.sequence() as inner:
                inner.script("step").run(log=log, fail="inside")
                with inner.mapreduce() as steps:
                    for _ in range(3):
                        steps.script("step").run(log=log, name="never")
        crt.script("step").run(log=log, name="never")
        result = crt.run()
    assert ctx.fails(result, Trouble).args == ("inside",)
    handles = result.steps()
    assert _states(result) == ["SUCCESS"] + ["FAILURE"] * 5
    for each in handles[2:]:
        _never_ran(ctx, each, handles[1])


@rule("CAN-007", rests_on=("CAN-004",))
def the_others_of_a_parallel(ctx: Context) -> None:
    """In a parallel canvas the other results are there all the same.

    It is over when all of them are; of several errors get() raises the first in the order written.
    """
    _deploy(ctx)
    log, gate = str(ctx.log), ctx.gate()
    with ctx.om.runtime.parallel() as crt:
        crt.script("step").run(0, log=log, gate=str(gate), fail="written first", name="slow")
        crt.script("step").run(1, log=log)
        crt.model("modelled").predict([2], log=log, fail="finished first", name="quick")
        crt.script("step").run(3, log=log)
        result = crt.run()
    steps = result.steps()
    ctx.fails(steps[2], Trouble)
    assert (ctx.value(steps[1]), ctx.value(steps[3])) == (1, 3)
    assert not result.ready()
    assert result.status == "STARTED"
    gate.open()
    assert ctx.fails(result, Trouble).args == ("written first",)
    assert _states(result) == ["FAILURE", "SUCCESS", "FAILURE", "SUCCESS"]
    with pytest.raises(Trouble, match="written first"):
        result.getall()
    values = result.getall(return_exceptions=True)
    assert [type(each) for each in values] == [Trouble, dict, Trouble, dict]
    assert [values[1]["result"], values[3]["result"]] == [1, 3]
    assert [values[0].args, values[2].args] == [("written first",), ("finished first",)]
    _the_last_to_finish_fails_too(ctx)


def _the_last_to_finish_fails_too(ctx: Context) -> None:
    log, gate = str(ctx.log), ctx.gate("last")
    with ctx.om.runtime.parallel() as crt:
        crt.script("step").run(log=log, fail="written first")
        crt.script("step").run(log=log, gate=str(gate), fail="finished last")
        result = crt.run()
    ctx.fails(result.steps()[0], Trouble)
    gate.open()
    assert ctx.fails(result, Trouble).args == ("written first",)


@virtualobj
def _unpicklable(data: str = "") -> Any:
    lock = threading.Lock()
    if data == "value":
        return lock
    raise Trouble("it holds a lock", lock)


@rule("CAN-024", rests_on=("CAN-006", "ERR-003", "ERR-004"), independent=True)
def what_cannot_travel(ctx: Context) -> None:
    """A step whose value or exception cannot be serialised fails its canvas with the error that says so."""
    _deploy(ctx)
    ctx.deploy(_unpicklable, "unpicklable")
    for what in ("value", "exception"):
        with ctx.om.runtime.sequence() as crt:
            crt.script("unpicklable").run(what)
            crt.script("step").run(log=str(ctx.log), name="never")
            result = crt.run()
        error = ctx.fails(result, Exception)
        assert "lock" in str(error)
        assert type(error) is type(ctx.fails(result.steps()[0], Exception))
        assert isinstance(error, TaskError | TypeError)
        _never_ran(ctx, result.steps()[1], result.steps()[0])
    assert not ctx.log.starts("never")


def _cancel_refused(ctx: Context) -> None:
    _deploy(ctx)
    gate = ctx.gate()
    with ctx.om.runtime.parallel() as crt:
        crt.script("step").run(log=str(ctx.log), gate=str(gate), name="runs")
        result = crt.run()
    ctx.log.wait("start", "runs")
    ctx.refuses(result.cancel, Capability.CANCEL_RUNNING)
    gate.open()
    ctx.get(result)


@rule("CAN-014", rests_on=("CAN-001", "CAN-003"), capability=Capability.CANCEL_RUNNING, refusal=_cancel_refused)
def cancel_stops_everything(ctx: Context) -> None:
    """cancel() of a canvas stops what runs and starts nothing more."""
    _deploy(ctx)
    runtime, log, slots = ctx.om.runtime, str(ctx.log), ctx.slots()

    def sequence(gate: str) -> CanvasResult:
        with runtime.sequence() as crt:
            crt.callback("told").script("step").run(log=log, gate=gate, name="runs")
            crt.callback("told").script("step").run(log=log, name="never")
            return crt.run()

    def parallel(gate: str) -> CanvasResult:
        with runtime.parallel() as crt:
            for number in range(slots + 4):
                crt.callback("told").script("step").run(
                    log=log, gate=gate, name="runs" if number < slots else "never"
                )
            return crt.run()

    def nested(gate: str) -> CanvasResult:
        with runtime.mapreduce() as crt:
            for _ in range(slots + 1):
                with crt.sequence() as inner, inner.parallel() as steps:
                    steps.script("step").run(log=log, gate=gate, name="runs")
                    ctx.om.runtime.script("step").run(log=log, gate=gate, name="runs")
                    inner.script("step").run(log=log, name="never")
            crt.callback("told").script("step").run(log=log, name="never")
            return crt.run()

    by_handle: Callable[[CanvasResult], bool] = lambda result: result.cancel()  # noqa: E731
    by_id: Callable[[CanvasResult], bool] = lambda result: runtime.result(result.id).cancel()  # noqa: E731
    for build in (sequence, parallel, nested):
        for cancel in (by_handle, by_id):
            _is_cancelled(ctx, build, cancel)
    assert not ctx.log.starts("never")
    assert not ctx.log.entries("end", "runs")


def _is_cancelled(ctx: Context, build: Callable[[str], CanvasResult], cancel: Callable[[CanvasResult], bool]) -> None:
    gate, slots = ctx.gate("never opened"), ctx.slots()
    before = len(ctx.log.starts("runs"))
    result = build(str(gate))
    busy = 1 if build.__name__ == "sequence" else slots
    running = ctx.log.wait("start", "runs", before + busy)[before:]
    assert cancel(result)
    assert result.status == "REVOKED"
    assert set(_states(result)) == {"REVOKED"}
    assert not cancel(result), "it was over already"
    for handle in (result, ctx.om.runtime.result(result.id), *result.steps()):
        ctx.fails(handle, TaskRevoked)
        assert handle.status == "REVOKED"
    ctx.wait(lambda: not any(ctx.alive(entry.pid) for entry in running), "the end of what ran")
    # The workers take what comes next.
    others = [ctx.om.runtime.script("step").run(number, log=str(ctx.log), name="next") for number in range(slots)]
    assert [ctx.value(other) for other in others] == [*range(slots)]
    assert len(ctx.log.starts("runs")) == before + busy
    assert _told(ctx, result) == {"REVOKED"}
    assert result.forget()
    facts = [key for key, _ in ctx.om.store.scan(Space.LEDGER, "") if result.id in key and "-callback" not in key]
    assert all(key.startswith("claim:") for key in facts), "forget() leaves more than tombstones"


def _told(ctx: Context, result: CanvasResult) -> set[str]:
    """Return what the callbacks of a canvas' steps were told."""
    states = []
    for each in result.steps():
        with contextlib.suppress(UnknownTask):
            states.append(ctx.value(ctx.om.runtime.result(f"{each.id}-callback")))
    return set(states)


@rule("CAN-018", rests_on=("CAN-006", "CAN-007"))
def a_cancelled_step(ctx: Context) -> None:
    """A step that is cancelled by its own handle, before its turn or in the queue, never starts, and fails its canvas with TaskRevoked like any failing step."""  # noqa: E501
    _deploy(ctx)
    runtime, log, gate, slots = ctx.om.runtime, str(ctx.log), ctx.gate(), ctx.slots()
    with runtime.sequence() as crt:
        crt.script("step").run(log=log, gate=str(gate), name="first")
        with crt.parallel() as both:
            both.script("step").run("other", log=log)
            both.script("step").run(log=log, name="never")
        crt.script("step").run(log=log, name="never")
        before_its_turn = crt.run()
    with runtime.parallel() as crt:
        for number in range(slots):
            crt.script("step").run(number, log=log, gate=str(gate), name="first")
        crt.script("step").run(log=log, name="never")
        in_the_queue = crt.run()
    ctx.log.wait("start", "first", slots)
    for result, which in ((before_its_turn, 2), (in_the_queue, slots)):
        handle = result.steps()[which]
        assert handle.status == "PENDING"
        assert handle.cancel()
        assert handle.status == "REVOKED"
        assert not handle.cancel()
        assert result.status == "STARTED", "the others are not over"
    gate.open()
    for result, which in ((before_its_turn, 2), (in_the_queue, slots)):
        assert ctx.fails(result, TaskRevoked).task == result.steps()[which].id
        assert result.status == "FAILURE"
    steps = before_its_turn.steps()
    assert _states(before_its_turn) == ["SUCCESS", "SUCCESS", "REVOKED", "FAILURE"]
    _never_ran(ctx, steps[3], steps[2])
    assert _states(in_the_queue) == ["SUCCESS"] * slots + ["REVOKED"]
    assert not ctx.log.starts("never")


def _step_cancel_refused(ctx: Context) -> None:
    _deploy(ctx)
    gate = ctx.gate()
    with ctx.om.runtime.sequence() as crt:
        crt.script("step").run(log=str(ctx.log), gate=str(gate), name="runs")
        result = crt.run()
    ctx.log.wait("start", "runs")
    ctx.refuses(result.steps()[0].cancel, Capability.CANCEL_RUNNING)
    gate.open()
    ctx.get(result)


@rule("CAN-025", rests_on=("CAN-018",), capability=Capability.CANCEL_RUNNING, refusal=_step_cancel_refused)
def a_running_step_is_cancelled(ctx: Context) -> None:
    """A running step that is cancelled by its own handle stops, and fails its canvas with TaskRevoked; the canvas does not wait for it."""  # noqa: E501
    _deploy(ctx)
    runtime, log, gate = ctx.om.runtime, str(ctx.log), ctx.gate()
    with runtime.sequence() as crt:
        with crt.parallel() as both:
            both.script("step").run("other", log=log)
            handle = both.script("step").run(log=log, gate=str(gate), name="runs")
        crt.script("step").run(log=log, name="never")
        result = crt.run()
    pid = ctx.log.wait("start", "runs")[0].pid
    assert handle.cancel()
    assert ctx.fails(result, TaskRevoked).task == handle.id
    assert _states(result) == ["SUCCESS", "REVOKED", "FAILURE"]
    _never_ran(ctx, result.steps()[2], handle)
    ctx.wait(lambda: not ctx.alive(pid), "the end of the process of a step that was cancelled")
    assert not ctx.log.starts("never")
    assert not ctx.log.entries("end", "runs")


@rule("CAN-021", rests_on=("FLT-001", "CAN-002"), own_cluster=True)
def a_killed_worker_does_not_stop_it(ctx: Context) -> None:
    """A canvas goes on when a step's worker is killed: the step runs again, and what comes after it runs once."""
    _deploy(ctx)
    log = str(ctx.log)
    for kind in ("sequence", "mapreduce"):
        gate, names = ctx.gate(kind), [f"{kind} {number}" for number in range(3)]
        with getattr(ctx.om.runtime, kind)() as crt:
            crt.script("step").run(log=log, name=names[0])
            crt.script("step").run(log=log, gate=str(gate), name=names[1])
            crt.script("step").run(log=log, name=names[2])
            result = crt.run()
        for attempt in (1, 2):
            ctx.kill(ctx.begun(result, names[1], attempt)[-1].pid)
        ctx.begun(result, names[1], 3)
        assert not ctx.log.starts(names[2])
        gate.open()
        assert ctx.value(result) == names[2]
        handed = {"result": names[1]} if kind == "sequence" else {"results": names[:2]}
        assert [entry.data for entry in ctx.log.starts(names[2])] == [{"handed": handed}]
        assert [len(ctx.log.entries("end", name)) for name in names] == [1, 1, 1]
    with ctx.om.runtime.require(retries=0).sequence() as crt:
        crt.script("step").run(log=log, gate=str(ctx.gate("once")), name="once")
        crt.script("step").run(log=log, name="never")
        result = crt.run()
    ctx.kill(ctx.log.wait("start", "once")[0].pid)
    assert ctx.fails(result, WorkerLost).task == result.steps()[0].id
    _never_ran(ctx, result.steps()[1], result.steps()[0])
    assert not ctx.log.starts("never")


@virtualobj
def _counted(data: Any = None, log: str = "", gate: str = "") -> None:
    note(log, "start", "counted")
    pass_gate(gate)


_SUBMITS = """
import threading, time

om = Omega()
om.runtime.workers()
with om.runtime.parallel() as crt:
    for number in range(int(argv[2])):
        crt.script("counted").run(number, log=argv[0], gate=argv[1])
    answer(crt.id)
    started = time.perf_counter()
    crt.run()
    answer(time.perf_counter() - started)
    threading.Event().wait()
"""
_STEPS = 2000
_KILLS = 8


@rule("FLT-006", rests_on=("CAN-003", "CAN-013"))
def all_of_it_or_nothing(ctx: Context) -> None:
    """The client killed in the middle of submitting a canvas leaves all of it or nothing.

    Killed at moments spread over the time that run() takes: afterwards the id is unknown and no step of it has run,
    or all steps are there. Where work dies with its client they all end as WorkerLost.
    """
    ctx.om.scripts.put(_counted, "counted")
    takes = _one_client(ctx, 0, None)
    found = [_one_client(ctx, number, takes * number / _KILLS) for number in range(1, _KILLS)]
    assert len(found) == _KILLS - 1


def _one_client(ctx: Context, number: int, delay: float | None) -> float:
    """Have a client submit a canvas, kill it after ``delay`` seconds of that, and look at what it left."""
    gate = ctx.gate(f"client-{number}")
    before = len(ctx.log.starts())
    client = ctx.subprocess(_SUBMITS, ctx.log, gate, _STEPS, runtime=ctx.client_url)
    canvas = client.answer(1)
    takes: float = 0.0
    if delay is None:
        takes = client.answer(2)
    else:
        threading.Event().wait(delay)
    client.kill()
    gate.open()
    try:
        result = ctx.om.runtime.result(canvas)
    except UnknownTask:
        assert delay is not None, "run() had returned"
        assert len(ctx.log.starts()) == before, "a step ran although nothing was submitted"
        with pytest.raises(UnknownTask):
            ctx.om.runtime.result(f"{canvas}-000000")
        return takes
    assert isinstance(result, CanvasResult)
    assert len(result.steps()) == _STEPS
    if Capability.DETACHED in ctx.capabilities:
        assert len(ctx.get(result)) == _STEPS
        return takes
    ctx.fails(result, WorkerLost)
    for each in (result.steps()[0], result.steps()[-1]):
        assert each.status in ("SUCCESS", "FAILURE")
    values = result.getall(return_exceptions=True)
    assert {type(each) for each in values} <= {dict, WorkerLost}
    return takes


@rule("CAN-022", rests_on=("LIF-004", "CAN-001"), without=Capability.DETACHED)
def close_and_canvases(ctx: Context) -> None:
    """Without DETACHED, close() waits for whole canvases, and close(wait=False) revokes them with all their steps."""
    _deploy(ctx)
    _close_waits(ctx)
    _close_revokes(ctx)


def _open_canvas(ctx: Context, om: Omega, gate: object, name: str) -> CanvasResult:
    with om.runtime.sequence() as crt:
        crt.script("step").run(log=str(ctx.log), gate=str(gate), name=name)
        with crt.mapreduce() as inner:
            for number in range(3):
                inner.script("step").run(number, log=str(ctx.log), name=f"{name} later")
        crt.callback("told").script("step").run("last", log=str(ctx.log), name=f"{name} later")
        return crt.run()


def _found(ctx: Context, result: CanvasResult) -> CanvasResult:
    found = ctx.om.runtime.result(result.id)
    assert isinstance(found, CanvasResult)
    return found


def _close_waits(ctx: Context) -> None:
    om, gate = ctx.omega(ctx.private_runtime(workers={"default": 1})), ctx.gate("waits")
    result = _open_canvas(ctx, om, gate, "waited for")
    ctx.log.wait("start", "waited for")
    closing = threading.Thread(target=om.close)
    closing.start()
    gate.open()
    closing.join(ctx.wait.seconds)
    assert not closing.is_alive()
    found = _found(ctx, result)
    assert found.status == "SUCCESS"
    assert ctx.value(found) == "last"
    assert len(ctx.log.starts("waited for later")) == 4
    assert ctx.om.runtime.result(f"{found.steps()[-1].id}-callback").status == "SUCCESS"


def _close_revokes(ctx: Context) -> None:
    om, gate = ctx.omega(ctx.private_runtime(workers={"default": 1})), ctx.gate("revokes")
    result = _open_canvas(ctx, om, gate, "revoked")
    pid = ctx.log.wait("start", "revoked")[0].pid
    om.close(wait=False)
    found = _found(ctx, result)
    callback = ctx.om.runtime.result(f"{found.steps()[-1].id}-callback")
    for handle in (found, *found.steps(), callback):
        ctx.fails(handle, TaskRevoked)
        assert handle.status == "REVOKED"
    ctx.wait(lambda: not ctx.alive(pid), "the end of the process of a revoked step")
    assert not ctx.log.entries("end", "revoked")
    assert not ctx.log.starts("revoked later")
