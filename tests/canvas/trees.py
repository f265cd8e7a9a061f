"""Canvas trees as nested tuples, the plan of each, and what a plain reading of the contract says of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from omruntime.canvas import Node, Plan

__all__ = ["STEP", "Told", "Tree", "plan_of", "tell", "trees", "value_of"]

Tree = Any
"""`STEP`, or a kind with the trees inside it: ``("sequence", [STEP, ("parallel", [STEP, STEP])])``."""
STEP = "step"


def trees(most: int = 12) -> st.SearchStrategy[Tree]:
    """Return random trees whose root is a node."""
    inner = st.recursive(st.just(STEP), _node, max_leaves=most)
    return _node(inner)


def _node(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.tuples(st.sampled_from(["sequence", "parallel"]), st.lists(inner, min_size=1, max_size=4)),
        st.tuples(st.just("mapreduce"), st.lists(inner, min_size=2, max_size=4)),
    )


def plan_of(tree: Tree) -> Plan:
    """Return the plan of a tree."""
    nodes: list[tuple[str, list[int]]] = []

    def add(node: Tree) -> int:
        number = len(nodes)
        nodes.append((node[0], []))
        children = nodes[number][1]
        for child in node[1]:
            if child != STEP:
                children.append(-add(child))
            elif children and children[-1] > 0:
                children[-1] += 1
            else:
                children.append(1)
        return number

    add(tree)
    return Plan([Node(kind, children) for kind, children in nodes])


def value_of(tree: Tree, run: Callable[[int, str, Any], Any]) -> Any:
    """Run a tree the plain way: ``run(step, role, value)`` for each step, in an order that the contract allows."""
    steps = iter(range(10**6))

    def walk(node: Tree, role: str, value: Any) -> Any:
        if node == STEP:
            return run(next(steps), role, value)
        kind, children = node
        if kind == "sequence":
            for child in children:
                value = walk(child, role, value)
                role = "result"
            return value
        if kind == "parallel":
            return [walk(child, role, value) for child in children]
        mapped = [walk(child, role, value) for child in children[:-1]]
        return walk(children[-1], "results", mapped)

    return walk(tree, "", None)


@dataclass
class Told:
    """What a plain reading says, given which steps fail when they run."""

    skipped: set[int] = field(default_factory=set)
    failed: int | None = None
    """The step whose error is the canvas' own."""


def tell(tree: Tree, fails: Callable[[int], bool]) -> Told:
    """Return which steps never run, and which one's error is the whole's."""
    told, steps = Told(), iter(range(10**6))

    def skip(node: Tree) -> None:
        if node == STEP:
            told.skipped.add(next(steps))
        else:
            for child in node[1]:
                skip(child)

    def walk(node: Tree) -> int | None:
        if node == STEP:
            number = next(steps)
            return number if fails(number) else None
        kind, children = node
        members = children if kind != "mapreduce" else children[:-1]
        failed: int | None = None
        for child in members:
            if kind == "sequence" and failed is not None:
                skip(child)
                continue
            first = walk(child)
            failed = first if failed is None else failed
        if kind == "mapreduce":
            if failed is None:
                return walk(children[-1])
            skip(children[-1])
        return failed

    told.failed = walk(tree)
    return told
