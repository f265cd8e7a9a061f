"""Canvases whose worker, client or runtime ends before they do."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from omruntime import CanvasResult, Omega, virtualobj
from omruntime.abc import Capability
from omruntime.errors import TaskRevoked, UnknownTask, WorkerLost
from omruntime_conformance.canvases import deploy_steps, never_ran
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import note, pass_gate


@rule("CAN-021", rests_on=("FLT-001", "CAN-002"), own_cluster=True)
def a_killed_worker_does_not_stop_it(ctx: Context) -> None:
    """A canvas goes on when a step's worker is killed: the step runs again, and what comes after it runs once.

    A long canvas meets more faults than a short task, and is worth more.
    """
    deploy_steps(ctx)
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
    never_ran(ctx, result.steps()[1], result.steps()[0])
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
    """Without DETACHED, close() waits for whole canvases, and close(wait=False) revokes them with all their steps.

    Where work dies with its client, closing must neither lose the steps that have not begun nor leave them for ever.
    """
    deploy_steps(ctx)
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
