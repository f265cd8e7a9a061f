"""Canvas: sequences, parallels and mapreduces, what runs when, and in which order values are."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from omruntime import AsyncResult, CanvasResult
from omruntime.errors import CanvasError, CanvasWarning, ObjectNotFound
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.steps import modelled, step
from omruntime_conformance.tasks import echo

KINDS = ("sequence", "parallel", "mapreduce")
MANY = 1000


def _deploy(ctx: Context) -> None:
    ctx.deploy(step)
    ctx.om.models.put(modelled, "modelled")


def _names(ctx: Context, what: str) -> list[str]:
    return [entry.name for entry in ctx.log.entries(what)]


@rule("CAN-001", independent=True)
def one_after_the_other(ctx: Context) -> None:
    """Sequence runs each step after the one before has finished.

    A step relies on what the one before has stored, beside the value that it returned.
    """
    _deploy(ctx)
    log, gates = str(ctx.log), [ctx.gate(f"gate-{number}") for number in range(4)]
    with ctx.om.runtime.sequence() as crt:
        crt.script("step").run(log=log, gate=str(gates[0]), name="0")
        crt.model("modelled").predict([1], log=log, gate=str(gates[1]), name="1")
        ctx.om.runtime.script("step").run(log=log, gate=str(gates[2]), name="2")
        crt.script("step").run(log=log, gate=str(gates[3]), name="3")
        result = crt.run()
    assert result.status in ("PENDING", "STARTED")
    for number, gate in enumerate(gates):
        ctx.log.wait("start", str(number))
        assert _states(result) == ["SUCCESS"] * number + ["STARTED"] + ["PENDING"] * (3 - number)
        assert result.status == "STARTED"
        assert not result.ready()
        gate.open()
    assert ctx.value(result) == "3"
    assert _states(result) == ["SUCCESS"] * 4
    order = [(entry.name, entry.what) for entry in ctx.log.entries()]
    assert order == [(str(number), what) for number in range(4) for what in ("start", "end")]


def _states(result: CanvasResult) -> list[str]:
    return [each.status for each in result.steps()]


@rule("CAN-002", rests_on=("CAN-001",), independent=True)
def previous_value(ctx: Context) -> None:
    """Sequence gives each step the previous value.

    Without it a sequence would be a list of unrelated calls, as it is in the library whose words these are.
    """
    _deploy(ctx)
    log = str(ctx.log)
    with ctx.om.runtime.sequence() as crt:
        crt.script("step").run({"first": [1, 2.5, None]}, log=log, name="0")
        crt.model("modelled").predict(log=log, name="1")
        crt.script("step").run(log=log, name="2")
        crt.script("step").run(log=log, name="3")
        crt.model("modelled").transform(log=log, name="4")
        result = crt.run()
    assert ctx.get(result) == ["transform", "3"]
    started = {entry.name: entry.data for entry in ctx.log.starts()}
    first = {"first": [1, 2.5, None]}
    assert started["0"] == {"handed": {}}
    assert started["1"] == {"method": "predict", "data": first}
    assert started["2"] == {"handed": {"result": ["predict", first]}}
    assert started["3"] == {"handed": {"result": "2"}}
    assert started["4"] == {"method": "transform", "data": "3"}
    assert len(ctx.log.starts()) == 5


@rule("CAN-003")
def as_many_as_there_are_workers(ctx: Context) -> None:
    """Parallel runs at the same time as many as there are workers.

    It is what the word says, and what the workers are paid for.
    """
    _deploy(ctx)
    log, gate, slots = str(ctx.log), ctx.gate(), ctx.slots()
    with ctx.om.runtime.parallel() as crt:
        for number in range(slots + 2):
            crt.script("step").run(number, log=log, gate=str(gate), name=str(number))
        result = crt.run()
    # Nobody gets past the gate: they are in their tasks at the same time.
    running = ctx.log.wait("start", count=slots)
    assert len({entry.pid for entry in running}) == slots
    assert sorted(_states(result)) == ["PENDING"] * 2 + ["STARTED"] * slots
    gate.open()
    assert _results(ctx.get(result)) == [*range(slots + 2)]
    assert len(ctx.log.starts()) == slots + 2


def _results(envelopes: list[dict[str, Any]]) -> list[Any]:
    return [each["result"] for each in envelopes]


@rule("CAN-004")
def order_as_written(ctx: Context) -> None:
    """getall() and get() are in the order written, not the order finished.

    Results are matched with what they are of by their place. Look for a set, or for a list that is filled as answers
    come.
    """
    _deploy(ctx)
    log, gate = str(ctx.log), ctx.gate()
    with ctx.om.runtime.parallel() as crt:
        crt.script("step").run(0, log=log, gate=str(gate), name="0")
        for number in range(1, 6):
            crt.script("step").run(number, log=log, name=str(number))
        result = crt.run()
    ctx.log.wait("end", count=5)
    gate.open()
    assert _results(ctx.get(result)) == [0, 1, 2, 3, 4, 5]
    assert _results(result.getall()) == [0, 1, 2, 3, 4, 5]
    assert _names(ctx, "end")[-1] == "0", "the first one was to finish last"
    with ctx.om.runtime.sequence() as crt:
        for number in range(3):
            crt.script("step").run(number, log=log)
        result = crt.run()
    assert _results(result.getall()) == [0, 1, 2]
    with ctx.om.runtime.mapreduce() as crt:
        for number in range(3):
            crt.script("step").run(number, log=log)
        crt.script("step").run("reduced", log=log)
        result = crt.run()
    assert _results(result.getall()) == [0, 1, 2, "reduced"]


@rule("CAN-005")
def reduces_once(ctx: Context) -> None:
    """Mapreduce runs the reduce step once, after all map steps, with their values in the order written.

    The sum of what is there so far is no sum. Fan-in must neither begin early nor twice, whoever ends last.
    """
    _deploy(ctx)
    log = str(ctx.log)
    for reducer in ("script", "model"):
        gate = ctx.gate(reducer)
        with ctx.om.runtime.mapreduce() as crt:
            crt.script("step").run("slow", log=log, gate=str(gate), name=f"{reducer} map")
            for number in range(1, 7):
                crt.script("step").run(number, log=log, name=f"{reducer} map")
            if reducer == "script":
                crt.script("step").run(log=log, name="script reduce")
            else:
                crt.model("modelled").reduce(log=log, name="model reduce")
            result = crt.run()
        ctx.log.wait("end", f"{reducer} map", 6)
        assert result.steps()[-1].status == "PENDING"
        assert not result.ready()
        gate.open()
        values = ["slow", 1, 2, 3, 4, 5, 6]
        if reducer == "script":
            assert ctx.value(result) == "script reduce"
            assert ctx.log.starts("script reduce")[0].data == {"handed": {"results": values}}
        else:
            assert ctx.get(result) == ["reduce", values]
        reduced = ctx.log.starts(f"{reducer} reduce")
        assert len(reduced) == 1
        assert len(ctx.log.starts(f"{reducer} map")) == 7
        assert reduced[0].order > max(entry.order for entry in ctx.log.entries("end", f"{reducer} map"))


@rule("CAN-008", rests_on=("CAN-001", "CAN-003", "CAN-005"), independent=True)
def all_kinds_mix(ctx: Context) -> None:
    """Models, scripts and jobs mix in one canvas, in any place.

    What one step returns is what the next one takes, whatever they are.
    """
    _deploy(ctx)
    package = "def run(*args, **kwargs):\n    return ['package', sorted(kwargs), list(kwargs.values())]\n"
    ctx.om.scripts.put(ctx.package("packaged", {"__init__.py": package}), "packaged")
    for kind, expected in _MIXED.items():
        for turn in range(3):
            with getattr(ctx.om.runtime, kind)() as crt:
                # Each of the three is once the first, once the middle one, and once the last.
                for number in range(3):
                    _one_of_three(ctx, crt, (number + turn) % 3, first=kind != "sequence" or number == 0)
                result = crt.run()
            assert _plain(ctx.get(result)) == expected[turn], (kind, turn)
    _notebooks_too(ctx)


def _notebooks_too(ctx: Context) -> None:
    om, log = ctx.om, str(ctx.log)
    ctx.deploy(echo)
    om.jobs.create("print({name: job[name] for name in ('result', 'results') if name in job})", "seen")
    with om.runtime.sequence() as crt:
        crt.job("seen").run()
        crt.script("echo").run("x")
        with crt.mapreduce() as inner:
            om.runtime.job("seen").run()
            inner.model("modelled").predict(log=log)
            inner.job("seen").run()
        crt.script("packaged").run()
        crt.job("seen").run(result="given")
        result = crt.run()
    last = ctx.get(result)
    first, _, mapped, _, reduced, package, _ = result.getall()
    shown = [om.jobs.get(copy).cells[0].outputs[0].text for copy in (first, mapped, reduced, last)]
    assert shown[:2] == ["{}\n", "{'result': 'x'}\n"]
    assert shown[2] == f"{{'results': [{mapped!r}, ['predict', 'x']]}}\n"
    assert shown[3] == "{'result': 'given'}\n"
    assert [*package["result"][:2], package["result"][2][0].name] == ["package", ["result"], reduced.name]


def _one_of_three(ctx: Context, crt: Any, which: int, *, first: bool) -> None:
    if which == 0:
        crt.script("step").run(log=str(ctx.log), name="s")
    elif which == 1:
        given = [["x"]] if first else []
        crt.model("modelled").predict(*given, log=str(ctx.log))
    else:
        crt.script("packaged").run()


def _plain(value: Any) -> Any:
    """Return a value, or a list of values, without the envelopes of scripts."""
    if isinstance(value, dict):
        return value["result"]
    return [_plain(each) for each in value] if isinstance(value, list) else value


_SEEN = ["package", ["result"], [["predict", "s"]]]
_MODEL, _PACKAGE = ["predict", ["x"]], ["package", [], []]
_MIXED: dict[str, list[Any]] = {
    "sequence": [_SEEN, "s", ["predict", "s"]],
    "parallel": [["s", _MODEL, _PACKAGE], [_MODEL, _PACKAGE, "s"], [_PACKAGE, "s", _MODEL]],
    "mapreduce": [["package", ["results"], [["s", _MODEL]]], "s", _MODEL],
}


@rule("CAN-009", rests_on=("CAN-002", "CAN-005"), independent=True)
def canvases_nest(ctx: Context) -> None:
    """Canvases nest.

    The value of a nested one goes where that of a step would go: a sequence's last, the list of a parallel, what a
    mapreduce reduces to. What a step there would be handed its first steps are handed.
    """
    _deploy(ctx)
    log = str(ctx.log)
    with ctx.om.runtime.sequence() as crt:
        crt.script("step").run("begin", log=log, name="a")
        with crt.parallel() as both:
            both.script("step").run(log=log, name="b")
            with ctx.om.runtime.mapreduce() as inner:
                for number in range(2):
                    inner.script("step").run(number, log=log, name=f"c{number}")
                with inner.sequence() as last:
                    last.script("step").run("reduced", log=log, name="d")
                    last.model("modelled").predict(log=log, name="e")
            ctx.om.runtime.script("step").run(log=log, name="f")
        crt.model("modelled").reduce(log=log, name="g")
        with crt.parallel() as ends:
            ends.script("step").run(log=log, name="h")
            with ends.parallel() as deepest:
                deepest.script("step").run(log=log, name="i")
        result = crt.run()
    together = ["b", ["predict", "reduced"], "f"]
    assert _plain(ctx.get(result)) == ["h", ["i"]]
    seen = {entry.name: entry.data for entry in ctx.log.starts()}
    assert seen["a"] == {"handed": {}}
    for name in ("b", "c0", "c1", "f"):
        assert seen[name] == {"handed": {"result": "begin"}}, name
    assert seen["d"] == {"handed": {"results": [0, 1]}}
    assert seen["e"]["data"] == "reduced"
    assert seen["g"] == {"method": "reduce", "data": together}
    for name in ("h", "i"):
        assert seen[name] == {"handed": {"result": ["reduce", together]}}, name
    assert len(ctx.log.starts()) == len(result.getall()) == len(result.steps()) == 10


@rule("CAN-010", independent=True)
def canvases_do_not_mix(ctx: Context) -> None:
    """Two canvases built at once, in threads or asyncio tasks, do not mix.

    Services build canvases in every request at once. Look for a canvas that is kept in the runtime instead of in the
    thread or task that builds it.
    """
    _deploy(ctx)
    _in_threads(ctx)
    _in_asyncio_tasks(ctx)


def _in_threads(ctx: Context) -> None:
    runtime, found = ctx.om.runtime, dict[str, CanvasResult]()
    turns = threading.Barrier(3)

    def build(name: str) -> None:
        with runtime.sequence() as crt:
            for number in range(3):
                # Both write a step in each turn, and a third thread makes ordinary calls.
                turns.wait(ctx.wait.seconds)
                runtime.script("step").run(f"{name}{number}", log=str(ctx.log))
            turns.wait(ctx.wait.seconds)
            found[name] = crt.run()

    threads = [threading.Thread(target=build, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    try:
        for number in range(4):
            turns.wait(ctx.wait.seconds)
            assert ctx.value(runtime.script("step").run(number, log=str(ctx.log))) == number
    except BaseException:
        turns.abort()
        raise
    for thread in threads:
        thread.join(ctx.wait.seconds)
    for name in "ab":
        ctx.get(found[name])
        assert _results(found[name].getall()) == [f"{name}{number}" for number in range(3)]


def _in_asyncio_tasks(ctx: Context) -> None:
    runtime = ctx.om.runtime

    async def build(name: str) -> list[Any]:
        with runtime.parallel() as crt:
            for number in range(3):
                runtime.script("step").run(f"{name}{number}", log=str(ctx.log))
                # A task that is made in the block inherits its context; its calls are ordinary all the same.
                child = asyncio.create_task(call(f"child of {name}"))
                await asyncio.sleep(0)
                assert await child == f"child of {name}"
            return _results(await crt.run())

    async def call(value: str) -> Any:
        envelope = await runtime.script("step").run(value, log=str(ctx.log))
        return envelope["result"]

    async def both() -> list[list[Any]]:
        return list(await asyncio.gather(build("a"), build("b"), build("c")))

    built = asyncio.run(asyncio.wait_for(both(), ctx.wait.seconds))
    assert built == [[f"{name}{number}" for number in range(3)] for name in "abc"]


@rule("CAN-011", workers={"default": 1, "gpu": 1}, independent=True)
def steps_run_on_their_label(ctx: Context) -> None:
    """A step runs on its own label.

    Preparing on any machine, training on one with a GPU, is one canvas.
    """
    _deploy(ctx)
    log, runtime = str(ctx.log), ctx.om.runtime
    ctx.om.scripts.put(step, "stored", attributes={"require": {"label": "gpu"}})
    for kind in KINDS:
        with getattr(runtime, kind)() as crt:
            crt.require("gpu").script("step").run(log=log, name="gpu")
            crt.script("step").run(log=log, name="default")
            runtime.require(label="gpu").model("modelled").predict([1], log=log, name="gpu")
            crt.script("stored").run(log=log, name="gpu")
            with crt.require("gpu").parallel() as inner:
                inner.script("step").run(log=log, name="gpu")
                runtime.script("step").run(log=log, name="gpu")
                inner.require("default").script("step").run(log=log, name="default")
            crt.script("step").run(log=log, name="default")
            result = crt.run()
        ctx.get(result)
    with runtime.require("gpu").sequence() as crt:
        crt.script("step").run(log=log, name="gpu")
        runtime.script("step").run(log=log, name="gpu")
        ctx.get(crt.run())
    assert (len(ctx.log.starts("gpu")), len(ctx.log.starts("default"))) == (17, 9)
    for name in ("gpu", "default"):
        labels = [ctx.labels_of(entry) for entry in ctx.log.starts(name)]
        assert all(name in each for each in labels), "a step ran on a worker without its label"


@rule("CAN-012", independent=True)
def refused_canvases(ctx: Context) -> None:
    """An empty canvas, a mapreduce with fewer than two steps, and a second run() are refused with a clear error.

    Each of these is a mistake, and to guess what was meant would run the wrong thing.
    """
    _deploy(ctx)
    with ctx.nothing_is_submitted():
        for kind in KINDS:
            with getattr(ctx.om.runtime, kind)() as crt, pytest.raises(CanvasError, match=f"{kind} is empty"):
                crt.run()
        for crt in _too_few(ctx):
            with pytest.raises(CanvasError, match="mapreduce"):
                crt.run()
        with pytest.warns(CanvasWarning), ctx.om.runtime.sequence() as outer:  # noqa: PT031
            outer.script("step").run()
            with outer.parallel():
                pass
            with pytest.raises(CanvasError, match="parallel is empty"):
                outer.run()
    with ctx.om.runtime.sequence() as crt:
        with crt.parallel() as inner:
            inner.script("step").run(log=str(ctx.log))
            with pytest.raises(CanvasError, match="part of a canvas"):
                inner.run()
        result = crt.run()
        with pytest.raises(CanvasError, match=result.id):
            crt.run()
    with pytest.raises(CanvasError, match=result.id):
        crt.run()
    ctx.get(result)
    assert len(ctx.log.starts()) == 1


def _too_few(ctx: Context) -> Iterator[Any]:
    with pytest.warns(CanvasWarning), ctx.om.runtime.mapreduce() as crt:
        crt.script("step").run()
    yield crt
    with pytest.warns(CanvasWarning), ctx.om.runtime.sequence() as crt:  # noqa: PT031
        crt.script("step").run()
        with crt.mapreduce() as inner, inner.parallel() as steps:
            for _ in range(3):
                steps.script("step").run()
    yield crt


@rule("CAN-013", rests_on=("CAN-002", "CAN-004", "CAN-005"), independent=True)
def a_thousand_steps(ctx: Context) -> None:
    """1,000 steps work, in every kind of canvas.

    What works with three steps and not with a thousand is found out in production. Look for messages that hold a
    whole canvas, and for recursion.
    """
    ctx.deploy(echo)
    for kind in KINDS:
        with getattr(ctx.om.runtime, kind)() as crt:
            script = crt.script("echo")
            for number in range(MANY):
                script.run(number)
            result = crt.run()
        last = ctx.get(result)
        values = [*range(MANY)]
        assert _results(last if kind == "parallel" else [last]) == (values if kind == "parallel" else [MANY - 1])
        assert _results(result.getall()) == values
        assert {each.status for each in result.steps()} == {"SUCCESS"}
        assert result.forget()


@rule("CAN-015", independent=True)
def before_and_after_run(ctx: Context) -> None:
    """Nothing of a canvas runs before run(): a step's get() raises CanvasError, and leaving the block warns.

    After run() calls on `om.runtime` are ordinary ones again, and those on the canvas are refused.
    """
    _deploy(ctx)
    log, runtime = str(ctx.log), ctx.om.runtime
    with ctx.nothing_is_submitted():
        with pytest.warns(CanvasWarning, match="run"), runtime.sequence() as crt:  # noqa: PT031
            handle = crt.script("step").run("one", log=log)
            with pytest.raises(ObjectNotFound):
                crt.script("no such script").run()
            other = runtime.script("step").run("two", log=log)
        for each in (handle, other):
            assert isinstance(each, AsyncResult)
            assert each.status == "PENDING"
            assert not each.ready()
            for use in (functools.partial(ctx.get, each), each.future, each.cancel, each.forget):
                with pytest.raises(CanvasError, match="run"):
                    use()
        with contextlib.suppress(ZeroDivisionError), runtime.parallel() as broken:
            # Whoever leaves the block by an exception is not warned of anything else.
            broken.script("step").run(log=log)
            _ = 1 / 0
    # What was left without run() can still be run.
    result = crt.run()
    assert [ctx.value(handle), ctx.value(other)] == ["one", "two"]
    assert (handle.status, handle.id) == ("SUCCESS", result.steps()[0].id)
    for late in (crt.script("step").run, lambda: crt.model("modelled").predict([1]), crt.parallel):
        with pytest.raises(CanvasError, match="run"):
            late()
    with runtime.parallel() as crt:
        crt.script("step").run("in", log=log)
        result = crt.run()
        ordinary = runtime.script("step").run("out", log=log)
        assert ctx.value(ordinary) == "out"
    assert _results(ctx.get(result)) == ["in"]
    assert ctx.value(runtime.script("step").run("behind", log=log)) == "behind"
    assert len(ctx.log.starts()) == 5
