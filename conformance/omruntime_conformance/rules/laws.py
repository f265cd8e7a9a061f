"""Laws: what holds for every canvas, every value and every history, tried on random ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from omruntime import CanvasResult
from omruntime.errors import UpstreamFailed
from omruntime_conformance.context import Context
from omruntime_conformance.histories import Event, histories, live_through
from omruntime_conformance.libraries import hypothesis, st
from omruntime_conformance.nested import nested_values
from omruntime_conformance.registry import rule
from omruntime_conformance.steps import step
from omruntime_conformance.tasks import echo
from omruntime_conformance.trees import Tree, is_failure, made, plain, put_leaves, trees, worked_out, written
from omruntime_conformance.values import differences

_PACKAGE = """
from omruntime_conformance.steps import leaf

def run(*args, **kwargs):
    return leaf(*args, **kwargs)
"""


def _for_all(ctx: Context, strategy: st.SearchStrategy[Any], share: float = 1.0) -> Callable[[Any], None]:
    """Return a decorator that calls a function for random examples, the same ones in every run."""

    def run(body: Callable[[Any], None]) -> None:
        # Without shrinking: an engine that loses a task makes each example as long as the suite is patient.
        chosen = hypothesis.settings(
            max_examples=max(1, round(ctx.harness.examples * share)),
            derandomize=True,
            database=None,
            deadline=None,
            phases=(hypothesis.Phase.generate,),
            suppress_health_check=[*hypothesis.HealthCheck],
        )
        chosen(hypothesis.given(strategy)(body))()

    return run


@rule("LAW-001", rests_on=("CAN-002", "CAN-004", "CAN-005", "CAN-006", "CAN-009"), independent=True)
def canvases_compute(ctx: Context) -> None:
    """A random canvas tree gives what a plain Python evaluator of the tree gives.

    Failing steps included: which steps run, which never do, what each reads, and whose error is that of the whole.
    """
    put_leaves(ctx.om)
    ctx.om.scripts.put(ctx.package("leafy", {"__init__.py": _PACKAGE}), "leafy")

    @_for_all(ctx, trees())
    def holds(tree: Tree) -> None:
        _agrees(ctx, tree, written(ctx.om.runtime, tree))


def _agrees(ctx: Context, tree: Tree, result: CanvasResult) -> None:
    expected, steps = worked_out(tree), result.steps()
    if expected.culprit is None:
        assert (plain(ctx.om, ctx.get(result)), result.status) == (expected.value, "SUCCESS"), tree
    else:
        error = ctx.fails(result, Exception)
        assert is_failure(error, expected.failed[expected.culprit]), f"{tree} has failed with {error!r}"
        assert result.status == "FAILURE", tree
    outcomes = result.getall(return_exceptions=True)
    assert len(steps) == len(outcomes) == len([*tree.leaves()])
    for number, (handle, outcome) in enumerate(zip(steps, outcomes, strict=True)):
        where = f"step {number} of {tree}"
        if number in expected.values:
            assert (made(ctx.om, outcome), handle.status) == (expected.values[number], "SUCCESS"), where
        elif number in expected.failed:
            assert is_failure(outcome, expected.failed[number]), f"{where} has failed with {outcome!r}"
            assert handle.status == "FAILURE", where
        else:
            culprit = steps[expected.upstream[number]].id
            assert (type(outcome), outcome.upstream, handle.status) == (UpstreamFailed, culprit, "FAILURE"), where


@rule("LAW-002", rests_on=("DAT-001",), independent=True)
def values_travel(ctx: Context) -> None:
    """A random nested value comes back equal.

    Examples are what somebody has thought of; these are the others.
    """
    script = ctx.deploy(echo)

    @_for_all(ctx, nested_values(), share=2)
    def holds(value: Any) -> None:
        positional, named = script.run(value), script.run(value=value)
        assert not differences(value, ctx.value(positional))
        assert not differences({"value": value}, ctx.value(named))


@rule("LAW-003", rests_on=("RES-002", "ERR-008", "FLT-001", "FLT-002"), own_cluster=True)
def histories_agree(ctx: Context) -> None:
    """A random history of submit, get, cancel, require and kill agrees with a model of the contract.

    Faults and cancels meet in orders that nobody writes down. The model is the contract in a few lines of Python.
    """
    ctx.deploy(step)
    numbers = itertools.count()

    @_for_all(ctx, histories(), share=0.4)
    def holds(history: list[Event]) -> None:
        live_through(ctx, history, f"{next(numbers)}-")
