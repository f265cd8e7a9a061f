"""What to show of a canvas: the tree of its steps, each with its state and time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from omruntime.canvas import ROOT, Plan
from omruntime.client.group_portrait import status_of_all, task_node
from omruntime.ledger import TaskState
from omruntime.pictures import Node, Picture, Section, Tree, tally
from omruntime.pictures.texts import clock, lasting

__all__ = ["canvas_picture"]

_DEEPEST = 12


def canvas_picture(
    id: str, state: TaskState, plan: Plan, steps: Mapping[int, TaskState], outcome: Sequence[Section]
) -> Picture:
    """Return what to show of a canvas.

    Args:
        id: its id.
        state: what the ledger says of the whole.
        plan: its plan.
        steps: what the ledger says of the steps, by their numbers, as far as that is known.
        outcome: what to show of its value or its error.
    """
    told = tally(each.status for each in steps.values())
    facts = [("id", id), ("steps", f"{plan.steps}: {told}" if told else str(plan.steps)), *_times(state)]
    tree = Tree("", [_node(plan, place, steps, 1) for place in plan.children(ROOT)])
    return Picture(plan.kind(ROOT), "canvas", state.status, facts, (tree, *outcome))


def _times(state: TaskState) -> list[tuple[str, str]]:
    if state.end is not None:
        submitted, ended = state.end.submitted, state.end.ended
        return [("submitted", clock(submitted)), ("ended", f"{clock(ended)}, after {lasting(ended - submitted)}")]
    submitted = state.request.submitted if state.request is not None else time.time()
    return [("submitted", clock(submitted)), ("open for", lasting(time.time() - submitted))]


def _node(plan: Plan, place: int, steps: Mapping[int, TaskState], depth: int) -> Node:
    if place >= 0:
        return _step(place, steps.get(place))
    span = plan.span(place)
    children = [_node(plan, each, steps, depth + 1) for each in plan.children(place)] if depth < _DEEPEST else []
    known = {steps[number].status for number in span if number in steps}
    return Node(
        plan.kind(place), status_of_all(known), f"{len(span)} {'step' if len(span) == 1 else 'steps'}", children
    )


def _step(number: int, state: TaskState | None) -> Node:
    name = f"step {number}" if state is None or not state.name else state.name
    return task_node(name, state, "never ran, since a step before it failed")
