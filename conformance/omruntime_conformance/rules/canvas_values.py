"""Canvas: what steps and callbacks are handed, and how a canvas is found and looked at as a whole."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from omruntime import AsyncResult, CanvasResult, GroupResult, Metadata, virtualobj
from omruntime.errors import CanvasError, ResultExpired, ResultTimeout, UnknownTask
from omruntime_conformance.context import Context
from omruntime_conformance.libraries import np, pd
from omruntime_conformance.registry import rule
from omruntime_conformance.steps import modelled, step
from omruntime_conformance.tasks import Trouble, echo, note
from omruntime_conformance.values import all_values, differences

_PACKAGES = {
    "names_it": "def run(x=None, result='nothing'):\n    return ['names it', result]\n",
    "names_results": "def run(results='nothing', **kwargs):\n    return [results, sorted(kwargs)]\n",
    "takes_any": "def run(*args, **kwargs):\n    return [list(args), kwargs]\n",
    "takes_none": "def run():\n    return 'takes none'\n",
    "in_place": "def run(result):\n    return ['in place', result]\n",
}


def _deploy(ctx: Context) -> None:
    ctx.deploy(step)
    ctx.om.models.put(modelled, "modelled")
    for name, source in _PACKAGES.items():
        ctx.om.scripts.put(ctx.package(name, {"__init__.py": source}), name)


@virtualobj
def _doubled(data: Any = None, method: str = "", **kwargs: Any) -> Any:
    return data * 2


@virtualobj
def _required(result: Any) -> Any:
    return ["was handed", result]


@rule("CAN-016", rests_on=("CAN-002", "CAN-005"), independent=True)
def what_is_handed_on(ctx: Context) -> None:
    """A script hands on the result inside its envelope, an action with rName its dataset; what was given at the call wins, and nothing of it shows in the envelope.

    What a step is handed is its input, not part of its call, and what was written at the call is meant.
    """  # noqa: E501
    _deploy(ctx)
    _to_scripts(ctx)
    _to_models(ctx)
    _to_reducers(ctx)
    _nothing_is_a_value_too(ctx)


def _after(ctx: Context, value: Any, name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the envelope of a script behind one that returns ``value``."""
    with ctx.om.runtime.sequence() as crt:
        crt.script("step").run(value, log=str(ctx.log))
        crt.script(name).run(*args, **kwargs)
        envelope: dict[str, Any] = ctx.get(crt.run())
    assert set(envelope) == {"script", "args", "kwargs", "result", "runtime", "started", "ended"}
    assert (list(envelope["args"]), envelope["kwargs"]) == (list(args), kwargs)
    return envelope


def _to_scripts(ctx: Context) -> None:
    assert _after(ctx, 5, "names_it")["result"] == ["names it", 5]
    assert _after(ctx, 5, "names_it", 1, result="given")["result"] == ["names it", "given"]
    assert _after(ctx, 5, "names_it", 1, "in its place")["result"] == ["names it", "in its place"]
    assert _after(ctx, 5, "names_results")["result"] == ["nothing", ["result"]]
    assert _after(ctx, 5, "takes_any", 1, b=2)["result"] == [[1], {"b": 2, "result": 5}]
    assert _after(ctx, 5, "takes_none")["result"] == "takes none"
    assert _after(ctx, 5, "in_place")["result"] == ["in place", 5]
    assert _after(ctx, 5, "in_place", "given")["result"] == ["in place", "given"]
    # Outside of a canvas there is nothing to be handed.
    assert ctx.value(ctx.om.runtime.script("names_it").run()) == ["names it", "nothing"]
    assert ctx.value(ctx.om.runtime.script("takes_any").run()) == [[], {}]


def _to_models(ctx: Context) -> None:
    om = ctx.om
    om.models.put(_doubled, "doubled")
    om.datasets.put(pd.DataFrame({"x": [1, 2], "y": [5, 6]}), "frame")
    with om.runtime.sequence() as crt:
        crt.model("doubled").predict("frame[x]", rName="twice")
        crt.model("doubled").predict()
        crt.model("doubled").transform(rName="eight")
        crt.script("takes_any").run()
        result = crt.run()
    envelope = ctx.get(result)
    values = [ctx.get(each) for each in result.steps()]
    assert all(isinstance(each, Metadata) for each in (values[0], values[2]))
    assert om.datasets.get("twice")["x"].tolist() == [2, 4]
    assert values[1]["x"].tolist() == [4, 8]
    assert envelope["result"][1]["result"]["x"].tolist() == om.datasets.get("eight")["x"].tolist() == [8, 16]
    with om.runtime.sequence() as crt:
        crt.script("step").run(5, log=str(ctx.log))
        crt.model("modelled").predict([7], log=str(ctx.log))
        crt.model("doubled").predict("frame[y]")
        assert ctx.get(crt.run())["y"].tolist() == [10, 12]
    with pytest.raises(CanvasError, match="no X"), om.runtime.sequence() as crt:  # noqa: PT012
        crt.model("modelled").predict()
        crt.run()


def _to_reducers(ctx: Context) -> None:
    om, log = ctx.om, str(ctx.log)

    def mapped(reducer: str, **given: Any) -> Any:
        with om.runtime.mapreduce() as crt:
            crt.model("doubled").predict([1], rName="one")
            crt.script("step").run({"two": 2}, log=log)
            with crt.parallel() as inner:
                inner.script("step").run(3, log=log)
            if reducer == "modelled":
                crt.model(reducer).reduce(**given)
            else:
                crt.script(reducer).run(**given)
            return ctx.get(crt.run())

    values = [[1, 1], {"two": 2}, [3]]
    assert mapped("names_results")["result"] == [values, []]
    assert mapped("names_results", results="given")["result"] == ["given", []]
    assert mapped("takes_any", as_callback=True)["kwargs"] == {"as_callback": True}
    assert mapped("modelled", log=log) == ["reduce", values]
    assert mapped("modelled", log=log, data=["given"]) == ["reduce", ["given"]]
    stored = mapped("modelled", log=log, rName="reduced")
    assert isinstance(stored, Metadata)
    assert om.datasets.get("reduced") == ["reduce", values]


def _nothing_is_a_value_too(ctx: Context) -> None:
    script = ctx.deploy(echo).name
    ctx.deploy(_required, "required")
    ctx.om.models.put(echo, "echo")
    nothings: list[Any] = [None, [], {}, "", 0, False]
    for value in nothings:
        with ctx.om.runtime.sequence() as crt:
            crt.script(script).run(value)
            crt.script("required").run()
            assert ctx.value(crt.run()) == ["was handed", value]
        with ctx.om.runtime.sequence() as crt:
            crt.script(script).run(value)
            crt.model("echo").predict()
            crt.model("echo").predict()
            assert ctx.get(crt.run()) == value


@rule("CAN-023", rests_on=("DAT-001", "CAN-002"), independent=True)
def handed_on_as_they_were(ctx: Context) -> None:
    """Values arrive at the next step as they were, large ones too.

    A value that goes from step to step passes through no one's idea of a format, and through no limit of the engine's
    messages.
    """
    ctx.om.models.put(echo, "echo")
    ctx.deploy(echo)
    values = all_values()
    values["large"] = np.arange(2_000_000)
    with ctx.om.runtime.parallel() as crt:
        for value in values.values():
            with crt.sequence() as inner:
                inner.script("echo").run(value)
                inner.model("echo").predict()
        found = ctx.get(crt.run())
    for (name, value), actual in zip(values.items(), found, strict=True):
        assert not differences(value, actual), name
    # A list of them, in one piece.
    with ctx.om.runtime.mapreduce() as crt:
        for value in values.values():
            crt.script("echo").run(value)
        crt.model("echo").reduce()
        assert not differences([*values.values()], ctx.get(crt.run()))


@virtualobj
def _told(
    state: str = "", result: Any = "there is none", log: str = "", om: Any = None, args: Any = (), **kwargs: Any
) -> Any:
    note(str(om.datasets.get("log")), "told", state, result=repr(result), others=sorted(kwargs), args=list(args))
    if result == "break the callback":
        raise Trouble("in the callback")
    return [state, result]


def _callback(ctx: Context, task: AsyncResult) -> AsyncResult:
    return ctx.om.runtime.result(f"{task.id}-callback")


@rule("RES-012")
def callbacks_are_told(ctx: Context) -> None:
    """callback(script) runs that script once the task is over, however it ended, with state, and result where there is one; its failure changes nothing for the task.

    Whoever waits for nothing still wants to know, also of failures, and being told must not change what happened.
    """  # noqa: E501
    om = ctx.om
    om.datasets.put(str(ctx.log), "log")
    om.scripts.put(_told, "told")
    ctx.deploy(step)
    om.models.put(modelled, "modelled")
    log, with_callback = str(ctx.log), om.runtime.callback("told")
    good = with_callback.script("step").run({"a": 1}, log=log)
    model = with_callback.model("modelled").predict([1], log=log)
    stored = with_callback.model("modelled").predict([1], rName="stored", log=log)
    bad = with_callback.script("step").run(log=log, fail="on purpose")
    breaking = with_callback.script("step").run("break the callback", log=log)
    quiet = om.runtime.script("step").run(log=log)
    assert ctx.value(_callback(ctx, good)) == ["SUCCESS", {"a": 1}]
    assert ctx.value(_callback(ctx, model)) == ["SUCCESS", ["predict", [1]]]
    assert ctx.value(_callback(ctx, stored)) == ["SUCCESS", ["predict", [1]]]
    assert ctx.value(_callback(ctx, bad)) == ["FAILURE", "there is none"]
    ctx.fails(_callback(ctx, breaking), Trouble)
    assert (ctx.value(breaking), breaking.status) == ("break the callback", "SUCCESS")
    ctx.fails(bad, Trouble)
    ctx.get(quiet)
    with pytest.raises(UnknownTask):
        om.runtime.result(f"{quiet.id}-callback")
    _cancelled_ones_are_told(ctx)
    _steps_have_callbacks(ctx)
    told = ctx.log.entries("told")
    assert len(told) == 5 + 1 + 3
    assert all(entry.data["args"] == [] for entry in told)
    assert not any({"state", "result", "results"} & set(entry.data["others"]) for entry in told)


def _cancelled_ones_are_told(ctx: Context) -> None:
    with ctx.busy():
        queued = ctx.om.runtime.callback("told").script("step").run(log=str(ctx.log), name="never")
        assert queued.cancel()
    assert ctx.value(_callback(ctx, queued)) == ["REVOKED", "there is none"]
    assert not ctx.log.starts("never")


def _steps_have_callbacks(ctx: Context) -> None:
    log = str(ctx.log)
    with ctx.om.runtime.sequence() as crt:
        crt.callback("told").script("step").run(1, log=log)
        crt.callback("told").script("step").run(log=log, fail="in the middle")
        ctx.om.runtime.callback("told").script("step").run(log=log)
        crt.script("step").run(log=log)
        result = crt.run()
    ctx.fails(result, Trouble)
    steps = result.steps()
    assert ctx.value(_callback(ctx, steps[0])) == ["SUCCESS", 1]
    for each in steps[1:3]:
        assert ctx.value(_callback(ctx, each)) == ["FAILURE", "there is none"]
    with pytest.raises(UnknownTask):
        ctx.om.runtime.result(f"{steps[3].id}-callback")


_READS = """
import pickle
with Omega() as om:
    if argv[1] == 'id':
        result = om.runtime.result(argv[0])
    else:
        result = pickle.load(open(argv[0], 'rb'))
    answer([type(result).__name__, result.id, result.ready()])
    answer([each['result'] for each in result.get(timeout=60)])
    answer([result.status, [each['result'] for each in result.getall()], [each.status for each in result.steps()]])
    answer(sorted(each.id for group in result.collect() for each in group))
"""


@rule("CAN-017", independent=True)
def a_canvas_is_found_again(ctx: Context) -> None:
    """The result of a canvas is found by its id from another process, can be pickled, and can be awaited, like that of any task.

    A canvas outlives the program that wrote it, like any task.
    """  # noqa: E501
    ctx.deploy(step)
    gate = ctx.gate()
    with ctx.om.runtime.parallel() as crt:
        crt.script("step").run(0, log=str(ctx.log), gate=str(gate))
        crt.script("step").run(1, log=str(ctx.log))
        result = crt.run()
    with pytest.raises(ResultTimeout):
        result.get(timeout=0.05)
    copy = pickle.loads(pickle.dumps(result))
    found = ctx.om.runtime.result(result.id)
    assert copy == found == result
    assert len({copy, found, result}) == 1
    assert isinstance(copy, CanvasResult)
    sent = ctx.place / "canvas.pickle"
    sent.write_bytes(pickle.dumps(result))
    readers = [ctx.subprocess(_READS, result.id, "id"), ctx.subprocess(_READS, sent, "pickle")]
    for reader in readers:
        assert reader.answer(1) == ["CanvasResult", result.id, False]
    gate.open()
    for reader in readers:
        assert reader.answer(2) == [0, 1]
        assert reader.answer(3) == ["SUCCESS", [0, 1], ["SUCCESS", "SUCCESS"]]
        assert reader.answer(4) == [each.id for each in result.steps()]
        reader.exit()
    for handle in (copy, found):
        assert [each["result"] for each in ctx.get(handle)] == [0, 1]
    _awaited(ctx)


def _awaited(ctx: Context) -> None:
    gate = ctx.gate("awaited")
    with ctx.om.runtime.sequence() as crt:
        crt.script("step").run(1, log=str(ctx.log), gate=str(gate))
        crt.script("step").run(2, log=str(ctx.log))
        result = crt.run()

    async def turns() -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        gate.open()

    async def both() -> Any:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(result, 0.05)
        envelope, _ = await asyncio.gather(result, turns())
        return envelope["result"]

    assert asyncio.run(asyncio.wait_for(both(), ctx.wait.seconds)) == 2


@rule("CAN-020", independent=True)
def handles_of_the_parts(ctx: Context) -> None:
    """collect() is the set of handles: of a sequence's steps, one GroupResult for a parallel, and for a mapreduce the reducing step and the GroupResult of its maps.

    Programs written for omega|ml go through these handles.
    """  # noqa: E501
    ctx.deploy(step)
    log = str(ctx.log)
    collected = {}
    for kind in ("sequence", "parallel", "mapreduce"):
        with getattr(ctx.om.runtime, kind)() as crt:
            handles = [crt.script("step").run(number, log=log) for number in range(3)]
            result = crt.run()
        ctx.get(result)
        assert result.steps() == handles
        collected[kind] = (result, handles, result.collect())
    _, handles, found = collected["sequence"]
    assert found == set(handles)
    result, handles, found = collected["parallel"]
    assert len(found) == 1, "the steps of a parallel are one group"
    (group,) = found
    _is_group(ctx, group, handles)
    assert group == next(iter(result.collect()))
    _, handles, found = collected["mapreduce"]
    assert handles[2] in found
    (group,) = found - {handles[2]}
    _is_group(ctx, group, handles[:2])


def _is_group(ctx: Context, group: Any, members: list[AsyncResult]) -> None:
    assert isinstance(group, GroupResult)
    assert [*group] == members
    assert len(group) == len(members)
    assert group[0] == members[0]
    assert group.ready()
    assert [each["result"] for each in group.get(ctx.wait.seconds)] == [*range(len(members))]
    assert repr(group) == f"<GroupResult: {group.id} [{', '.join(member.id for member in members)}]>"


@rule("CAN-019", independent=True)
def a_canvas_is_forgotten(ctx: Context) -> None:
    """forget() of a canvas that is over deletes the values of all its steps; while it is not over it is False.

    A canvas of a thousand steps leaves a thousand values, which nobody would delete one by one.
    """
    ctx.deploy(step)
    ctx.deploy(echo)
    gate = ctx.gate()
    with ctx.om.runtime.sequence() as crt:
        crt.script("step").run(b"x" * 100_000, log=str(ctx.log), gate=str(gate))
        crt.script("echo").run(b"y" * 100_000)
        result = crt.run()
    assert not result.forget()
    gate.open()
    ctx.get(result)
    assert [*ctx.om.store.blobs("t-")]
    assert result.forget()
    for each in (result, ctx.om.runtime.result(result.id), *result_steps(ctx, result.id)):
        with pytest.raises(ResultExpired):
            each.get(timeout=ctx.wait.seconds)
    assert not [*ctx.om.store.blobs("t-")]
    assert result.forget()


def result_steps(ctx: Context, canvas: str) -> list[AsyncResult]:
    """Return the handles of the two steps of a canvas, by their ids."""
    return [ctx.om.runtime.result(f"{canvas}-{number:06d}") for number in range(2)]
