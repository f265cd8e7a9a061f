"""Canvas: steps that fail, are cancelled, or lose their worker; clients that die; the end of a runtime."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from omruntime import CanvasResult, virtualobj
from omruntime.abc import Capability, Space
from omruntime.errors import (
    TaskError,
    TaskRevoked,
    UnknownTask,
    UpstreamFailed,
)
from omruntime_conformance.canvases import deploy_steps, never_ran
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import Trouble


def _states(result: CanvasResult) -> list[str]:
    return [each.status for each in result.steps()]


@rule("CAN-006", rests_on=("CAN-001",), independent=True)
def a_failing_step_fails_the_canvas(ctx: Context) -> None:
    """A failing step fails the canvas with that step's error; later steps never run and read FAILURE with UpstreamFailed.

    What comes after a failure would run on nothing. The error is the step's own, and the rest says why it never ran.
    """  # noqa: E501
    deploy_steps(ctx)
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
            never_ran(ctx, each, steps[1])
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
    never_ran(ctx, steps[3], steps[1])


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
        never_ran(ctx, each, handles[1])


@rule("CAN-007", rests_on=("CAN-004",))
def the_others_of_a_parallel(ctx: Context) -> None:
    """In a parallel canvas the other results are there all the same.

    It is over when all of them are; of several errors get() raises the first in the order written.
    """
    deploy_steps(ctx)
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
    """A step whose value or exception cannot be serialised fails its canvas with the error that says so.

    The step has run and cannot hand on: its canvas must end, and say where.
    """
    deploy_steps(ctx)
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
        never_ran(ctx, result.steps()[1], result.steps()[0])
    assert not ctx.log.starts("never")


def _cancel_refused(ctx: Context) -> None:
    deploy_steps(ctx)
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
    """cancel() of a canvas stops what runs and starts nothing more.

    Whoever cancels wants the workers back; a canvas that starts its next step has not been cancelled.
    """
    deploy_steps(ctx)
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
    """A step that is cancelled by its own handle, before its turn or in the queue, never starts, and fails its canvas with TaskRevoked like any failing step.

    A step is a task with a handle of its own; what rests on it must not wait for ever.
    """  # noqa: E501
    deploy_steps(ctx)
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
    never_ran(ctx, steps[3], steps[2])
    assert _states(in_the_queue) == ["SUCCESS"] * slots + ["REVOKED"]
    assert not ctx.log.starts("never")


def _step_cancel_refused(ctx: Context) -> None:
    deploy_steps(ctx)
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
    """A running step that is cancelled by its own handle stops, and fails its canvas with TaskRevoked; the canvas does not wait for it.

    As for a step that has not begun. Look for a canvas that is continued only by whoever ends a step: here nobody
    does.
    """  # noqa: E501
    deploy_steps(ctx)
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
    never_ran(ctx, result.steps()[2], handle)
    ctx.wait(lambda: not ctx.alive(pid), "the end of the process of a step that was cancelled")
    assert not ctx.log.starts("never")
    assert not ctx.log.entries("end", "runs")
