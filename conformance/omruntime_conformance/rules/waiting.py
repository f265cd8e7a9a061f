"""Waiting inside a task for tasks that it has submitted."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from omruntime import virtualobj
from omruntime.abc import Capability
from omruntime.errors import UnsupportedCapability
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held, note, pass_gate

_LIMIT = 2
_HELD = 5.0
"""Seconds in which a wait has to be refused that lasts so long; after that the rule says that it was not."""


@virtualobj
def _tree(data: int = 0, om: Any = None, log: str = "", width: int = 2, gate: str = "") -> int:
    """Return how many leaves there are below, each counted by a task of its own, which waits at a gate."""
    note(log, "start", "node", level=data)
    if data == 0:
        if gate:
            with suppress(TimeoutError):
                pass_gate(gate, _HELD)
        return 1
    children = [om.runtime.script("tree").run(data - 1, log=log, width=width, gate=gate) for _ in range(width)]
    leaves: int = sum(child.get()["result"] for child in children)
    note(log, "end", "node", level=data)
    return leaves


@virtualobj
def _waits(
    data: str = "get", om: Any = None, log: str = "", gate: str = "", begin: str = "", name: str = "parent"
) -> list[Any]:
    """Wait for three tasks in one of the ways there are, and return their values."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor, wait

    note(log, "start", name)
    if begin:
        pass_gate(begin)
    script = om.runtime.script("held")
    children = [script.run(number, log=log, gate=gate, name="child") for number in range(3)]
    if data == "get":
        values = [child.get() for child in children]
    elif data == "by id":
        values = [om.runtime.result(child.id).get() for child in children]
    elif data == "threads":
        with ThreadPoolExecutor(3) as pool:
            values = list(pool.map(lambda child: child.get(), children))
    elif data == "futures":
        futures = [child.future() for child in children]
        wait(futures)
        values = [future.result() for future in futures]
    else:

        async def gathered() -> list[Any]:
            return list(await asyncio.gather(*children))

        values = asyncio.run(gathered())
    note(log, "end", name)
    return [value["result"] for value in values]


def _refused(ctx: Context) -> None:
    ctx.deploy(held)
    parent = ctx.deploy(_waits, "waits").run("get", log=str(ctx.log))
    try:
        ctx.value(parent)
    except UnsupportedCapability:
        pass
    else:
        ctx.works_anyway(Capability.NESTED_WAIT)
    assert ctx.fails(parent, UnsupportedCapability).capability == Capability.NESTED_WAIT.name


@rule("SCR-006", capability=Capability.NESTED_WAIT, refusal=_refused)
def waiting_inside_a_task(ctx: Context) -> None:
    """A script that waits for tasks it submitted gets their results, even when every worker is waiting so (capability NESTED_WAIT): the waiting task keeps its runner, a spare takes the slot, up to a stated bound with a clear error beyond.

    Recursive work deadlocks where every worker waits for a worker. Look for tasks that hold a slot of the engine
    while they wait.
    """  # noqa: E501
    ctx.deploy(held)
    ctx.deploy(_waits, "waits")
    _in_every_way(ctx)
    _everybody_waits(ctx)
    _deeper_than_the_pool(ctx)
    _up_to_a_bound(ctx)


def _in_every_way(ctx: Context) -> None:
    for way in ("get", "by id", "threads", "futures", "await"):
        assert ctx.value(ctx.om.runtime.script("waits").run(way, log=str(ctx.log), name=way)) == [0, 1, 2]
        started, ended = ctx.log.starts(way)[0], ctx.log.entries("end", way)[0]
        assert started.pid == ended.pid, "a task that waits must stay where it is"
        assert len(ctx.log.starts(way)) == 1


def _everybody_waits(ctx: Context) -> None:
    """Every worker has a task that waits, and as many others as there are workers run at the same time."""
    gate, begin, slots = ctx.gate("everybody"), ctx.gate("begin"), ctx.slots()
    before, workers = len(ctx.log.starts("child")), {worker.name for worker in ctx.om.runtime.workers()}
    script = ctx.om.runtime.script("waits")
    parents = [script.run("get", log=str(ctx.log), gate=str(gate), begin=str(begin)) for _ in range(slots)]
    ctx.log.wait("start", "parent", slots)
    # Not before: what is waited for goes first, so that the children of one could take the place of another.
    begin.open()
    children = ctx.log.wait("start", "child", before + slots)[before:]
    busy = {entry.pid for entry in ctx.log.starts("parent")}
    assert len({entry.pid for entry in children[:slots]} - busy) == slots, "nobody stands in for those who wait"
    present = {worker.name for worker in ctx.om.runtime.workers()}
    assert present == workers, "those who stand in for others are no workers of their own"
    gate.open()
    assert [ctx.value(parent) for parent in parents] == [[0, 1, 2]] * slots
    assert len(ctx.log.starts("child")) == before + 3 * slots


def _deeper_than_the_pool(ctx: Context) -> None:
    script = ctx.deploy(_tree, "tree")
    assert ctx.value(script.run(4, log=str(ctx.log))) == 2**4
    assert len(ctx.log.starts("node")) == 2**5 - 1
    assert ctx.value(script.run(ctx.slots() + 4, log=str(ctx.log), width=1)) == 1


def _up_to_a_bound(ctx: Context) -> None:
    gate = ctx.gate("bound")
    client = ctx.subprocess(
        """
        from contextlib import suppress

        with Omega() as om:
            script = om.runtime.script("tree")
            answer(script.run(int(argv[1]), log=argv[0], width=1).get(timeout=60)["result"])
            try:
                script.run(int(argv[1]) + 1, log=argv[0], width=1, gate=argv[2]).get(timeout=60)
            except errors.UnsupportedCapability as exc:
                answer([exc.capability, str(exc)])
            else:
                answer(["", "was not refused"])
            # Whichever of them was refused, others may be about to go on.
            again = None
            while again is None:
                with suppress(errors.UnsupportedCapability):
                    again = script.run(int(argv[1]), log=argv[0], width=1).get(timeout=60)["result"]
            answer(again)
        """,
        ctx.log,
        _LIMIT,
        gate,
        runtime=ctx.private_url,
        OMRUNTIME_SPARES=str(_LIMIT),
    )
    assert client.answer(1) == 1
    capability, said = client.answer(2)
    gate.open()
    assert capability == Capability.NESTED_WAIT.name, said
    assert f"{_LIMIT} tasks" in said
    assert "OMRUNTIME_SPARES" in said
    assert client.answer(3) == 1
    client.exit()
