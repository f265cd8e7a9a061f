"""Plans and the inputs of steps: the tree asked in pieces says what the tree run as a whole says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from omruntime.canvas import ROOT, Inputs, Node, Plan
from omruntime.errors import CanvasError
from omruntime.wire import Source
from tests.canvas.trees import STEP, Tree, plan_of, trees, value_of


def read(source: Source) -> Any:
    """Read a source where the value of every step is its number."""
    if source.items is None:
        return source.first
    values: list[Any] = []
    for item in source.items:
        values += [read(item)] if item.items is not None else range(item.first, item.first + item.count)
    return values


@given(trees(30))
def test_every_step_is_handed_what_a_plain_run_hands_it(tree: Tree) -> None:
    plan = plan_of(tree)
    inputs = Inputs(plan, [""] * plan.steps)

    def run(step: int, role: str, value: Any) -> int:
        handed = inputs.of(step)
        assert (None if handed is None else (handed[0], read(handed[1]))) == ((role, value) if role else None)
        return step

    assert value_of(tree, run) == plan.value(ROOT, lambda step: step)


@given(trees(30))
def test_a_plan_survives_its_record(tree: Tree) -> None:
    plan = plan_of(tree)
    again = Plan.decode(plan.encode())
    assert again.nodes == plan.nodes
    assert again.steps == plan.steps


@given(trees(30))
def test_places_know_their_parents_and_their_steps(tree: Tree) -> None:
    plan = plan_of(tree)
    seen: list[int] = []
    work = [ROOT]
    while work:
        place = work.pop()
        for position, child in enumerate(plan.children(place)):
            assert plan.parent(child) == (place, position)
            assert plan.span(child).start >= plan.span(place).start
            assert plan.span(child).stop <= plan.span(place).stop
        seen += [child for child in plan.children(place) if child >= 0]
        work += [child for child in plan.children(place) if child < 0]
    assert sorted(seen) == list(range(plan.steps))


def test_what_is_taken_of_a_value_is_part_of_its_source() -> None:
    plan = plan_of(("mapreduce", [STEP, STEP, STEP, STEP]))
    handed = Inputs(plan, ["result", "result", "dataset", ""]).of(3)
    assert handed == ("results", Source(items=[Source(0, 2, "result"), Source(2, 1, "dataset")]))


def test_ten_thousand_members_are_one_item() -> None:
    plan = Plan([Node("mapreduce", [10_001])])
    handed = Inputs(plan, [""] * plan.steps).of(10_000)
    assert handed == ("results", Source(items=[Source(0, 10_000)]))
    assert len(plan.encode()) < 50


def test_a_tree_may_be_as_deep_as_it_is_long() -> None:
    deep = 5_000
    kinds = ["sequence", "parallel", "mapreduce"]
    nodes = [Node(kinds[number % 3], [1, -(number + 1)]) for number in range(deep)] + [Node("sequence", [1])]
    plan = Plan(nodes)
    plan.check()
    assert plan.steps == deep + 1
    assert list(plan.first_steps(ROOT)) == [0]
    assert Plan.decode(plan.encode()).span(ROOT) == range(deep + 1)


def test_a_value_may_be_lists_as_deep() -> None:
    deep = 5_000
    plan = Plan([Node("parallel", [-(number + 1)]) for number in range(deep)] + [Node("parallel", [1])])
    value: Any = plan.value(ROOT, lambda step: step)
    for _ in range(deep + 1):
        assert isinstance(value, list)
        (value,) = value
    assert value == 0


@pytest.mark.parametrize("kind", ["sequence", "mapreduce"])
def test_lists_that_are_handed_on_have_a_bound(kind: str) -> None:
    for lists, refused in ((100, False), (101, True)):
        parallels = lists - (kind == "mapreduce")
        nodes = [Node("parallel", [-(number + 2)]) for number in range(parallels - 1)] + [Node("parallel", [1])]
        plan = Plan([Node(kind, [-1, 1]), *nodes])
        plan.check()
        inputs = Inputs(plan, [""] * plan.steps)
        if refused:
            with pytest.raises(CanvasError, match="lists nested 101 deep"):
                inputs.of(1)
        else:
            assert inputs.of(1) is not None


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([Node("sequence", [])], "this sequence is empty"),
        ([Node("sequence", [1, -1]), Node("parallel", [])], "this parallel is empty"),
        ([Node("mapreduce", [1])], "at least two steps"),
        ([Node("parallel", [1_000_001])], "at most 1000000 steps"),
    ],
)
def test_what_has_nothing_to_do_is_refused(nodes: list[Node], says: str) -> None:
    with pytest.raises(CanvasError, match=says):
        Plan(nodes).check()
