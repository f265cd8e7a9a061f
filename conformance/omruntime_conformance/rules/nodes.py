"""What only an engine with a life of its own can show: nodes and brokers that die, clients that leave."""

from __future__ import annotations

from omruntime import AsyncResult
from omruntime.abc import Capability
from omruntime_conformance.context import Context, Replaced
from omruntime_conformance.harness import Fault
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held

_TASKS = 6
_LEAVES = """
from omruntime import Omega

log, gate = argv
om = Omega()
script = om.runtime.script("held")
task = script.run("alone", log=log, gate=gate, name="alone")
with om.runtime.sequence() as crt:
    crt.script("held").run("first", log=log, gate=gate, name="first")
    crt.script("held").run("second", log=log, name="second")
    canvas = crt.run()
answer([task.id, canvas.id])
om.close()
"""


def _dies_with_its_client(ctx: Context) -> None:
    raise Replaced("LIF-004", "the engine's work dies with its client")


@rule("RES-010", capability=Capability.DETACHED, refusal=_dies_with_its_client)
def goes_on_without_its_client(ctx: Context) -> None:
    """Work goes on and finishes when the client that submitted it has exited, canvases included (capability DETACHED).

    A long job is submitted and the laptop is closed. Look for queues and objects that the engine ties to its client.
    """  # noqa: E501
    ctx.deploy(held)
    gate = ctx.gate()
    client = ctx.subprocess(_LEAVES, ctx.log, gate)
    task, canvas = client.answer(1)
    client.exit()
    gate.open()
    assert ctx.value(ctx.om.runtime.result(task)) == "alone"
    assert ctx.value(ctx.om.runtime.result(canvas)) == "second"
    assert [len(ctx.log.starts(name)) for name in ("alone", "first", "second")] == [1, 1, 1]


def _begun(ctx: Context) -> list[AsyncResult]:
    """Return tasks of which some have begun and wait, and others have not."""
    gate, script = ctx.gate("begun"), ctx.deploy(held)
    handles = [
        script.run(number, log=str(ctx.log), gate=str(gate), name=f"task {number}") for number in range(_TASKS)
    ]
    ctx.log.wait("start")
    return handles


def _all_finish_once(ctx: Context, handles: list[AsyncResult]) -> None:
    ctx.gate("begun").open()
    assert [ctx.value(handle) for handle in handles] == list(range(_TASKS))
    assert {handle.status for handle in handles} == {"SUCCESS"}
    for number in range(_TASKS):
        assert len(ctx.log.entries("end", f"task {number}")) == 1, "finished twice"
    assert ctx.value(ctx.om.runtime.script("held").run("after", log=str(ctx.log))) == "after"


@rule("FLT-003", own_cluster=True, faults=(Fault.NODE,))
def killed_node(ctx: Context) -> None:
    """A whole worker node killed: its tasks run elsewhere; none is lost, none finishes twice.

    A node takes everything along: host, runners, and what they have fetched and not begun. The steward finds what is
    owed by their lease.
    """
    handles = _begun(ctx)
    ctx.kill_node(ctx.om.runtime.workers()[0])
    _all_finish_once(ctx, handles)


@rule("FLT-004", own_cluster=True, faults=(Fault.BROKER,))
def restarted_broker(ctx: Context) -> None:
    """The broker or scheduler killed and started again: tasks submitted before it finish; the client's handles work.

    What a broker forgets the ledger knows. Look for an incarnation() that does not change, and for clients and
    workers that do not connect again.
    """
    handles = _begun(ctx)
    ctx.restart_broker()
    _all_finish_once(ctx, handles)
