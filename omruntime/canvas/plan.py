"""The plan of a canvas: a tree of sequences, parallels and mapreduces whose leaves are the steps.

Steps are numbered from 0 in the order written, so the steps below any node are consecutive numbers. A place in the
tree is an int: a step by its number, a node by the complement (``~``) of its own number; nodes are numbered in the
order written too, and the root is node 0. Nothing here recurses over the tree, which may be as deep as it is long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from omruntime.errors import CanvasError

__all__ = ["MOST_STEPS", "ROOT", "Node", "Plan"]

MOST_STEPS = 1_000_000
"""Steps that a canvas may have: their numbers have six digits in ids."""
ROOT = ~0
"""The place of the root."""
Value = TypeVar("Value")


class Node(msgspec.Struct, array_like=True, frozen=True):
    """One sequence, parallel or mapreduce."""

    kind: str
    children: list[int]
    """In the order written: ``n`` stands for n consecutive steps, ``-j`` for node j."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Node])


class Plan:
    """The tree with what is asked of it: who comes after whom, who begins, whose value is the whole's.

    Args:
        nodes: the nodes in the order written, the root first.

    Attributes:
        steps: number of steps.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = list(nodes)
        self._children: list[list[int]] = [[] for _ in self.nodes]
        self._spans: list[tuple[int, int]] = [(0, 0)] * len(self.nodes)
        self._node_parents: list[tuple[int, int]] = [(-1, 0)] * len(self.nodes)
        self._step_parents: list[tuple[int, int]] = []
        self._number()
        self.steps = len(self._step_parents)

    @classmethod
    def decode(cls, record: bytes) -> Plan:
        """Return the plan that a record holds."""
        return cls(_decoder.decode(record))

    def encode(self) -> bytes:
        """Return the plan as the bytes of its record."""
        return _encoder.encode(self.nodes)

    def _number(self) -> None:
        work: list[tuple[int, Iterator[int]]] = [(0, iter(self.nodes[0].children))]
        starts = {0: 0}
        while work:
            node, rest = work[-1]
            child = next(rest, None)
            if child is None:
                self._spans[node] = (starts[node], len(self._step_parents))
                work.pop()
            elif child > 0:
                for _ in range(child):
                    self._step_parents.append((node, len(self._children[node])))
                    self._children[node].append(len(self._step_parents) - 1)
            else:
                self._node_parents[-child] = (node, len(self._children[node]))
                self._children[node].append(~-child)
                starts[-child] = len(self._step_parents)
                work.append((-child, iter(self.nodes[-child].children)))

    # -- the tree ------------------------------------------------------------------------------------------------

    def kind(self, place: int) -> str:
        """Return the kind of a node; empty for a step."""
        return "" if place >= 0 else self.nodes[~place].kind

    def children(self, place: int) -> list[int]:
        """Return the places of what a node consists of, in the order written."""
        return [] if place >= 0 else self._children[~place]

    def parent(self, place: int) -> tuple[int, int] | None:
        """Return the node that a place belongs to, and its position there; None for the root."""
        node, position = self._step_parents[place] if place >= 0 else self._node_parents[~place]
        return None if node < 0 else (~node, position)

    def span(self, place: int) -> range:
        """Return the numbers of the steps at a place or below it."""
        return range(place, place + 1) if place >= 0 else range(*self._spans[~place])

    def members(self, place: int) -> int:
        """Return how many children of a parallel or mapreduce run at the same time."""
        count = len(self.children(place))
        return count - 1 if self.kind(place) == "mapreduce" else count

    def first_steps(self, place: int) -> Iterator[int]:
        """Yield the steps that begin when a place begins, in the order written."""
        work = [place]
        while work:
            place = work.pop()
            if place >= 0:
                yield place
                continue
            children = self.children(place)
            count = 1 if self.kind(place) == "sequence" else self.members(place)
            work += reversed(children[:count])

    def before(self, step: int) -> set[int]:
        """Return the steps that must have ended before a step can begin."""
        found: set[int] = set()
        place = step
        while (above := self.parent(place)) is not None:
            parent, position = above
            if self.kind(parent) == "sequence" or position == self.members(parent):
                found.update(range(self.span(parent).start, self.span(place).start))
            place = parent
        return found

    def check(self) -> None:
        """Check that every node has something to do.

        Raises:
            CanvasError: one is empty, a mapreduce has nothing to map, or there are too many steps.
        """
        for number, node in enumerate(self.nodes):
            children = self._children[number]
            if not children:
                raise CanvasError(f"this {node.kind} is empty; call something on it, or leave it out")
            if node.kind == "mapreduce" and len(children) < 2:
                raise CanvasError(
                    "a mapreduce needs at least two steps: one or more that map, and the last one, that reduces"
                )
        if self.steps > MOST_STEPS:
            raise CanvasError(f"a canvas has at most {MOST_STEPS} steps, and this one has {self.steps}; make several")

    # -- values --------------------------------------------------------------------------------------------------

    def deciding(self, place: int) -> int:
        """Return the step or the parallel whose value is that of a place."""
        while self.kind(place) in ("sequence", "mapreduce"):
            place = self.children(place)[-1]
        return place

    def value(self, place: int, of_step: Callable[[int], Value]) -> Value | list[object]:
        """Return the value of a place, given those of the steps: a parallel's is the list of its members' values."""
        whole: list[Any] = []
        work = [(place, whole)]
        while work:
            place, into = work.pop()
            place = self.deciding(place)
            if place >= 0:
                into.append(of_step(place))
            else:
                inner: list[Any] = []
                into.append(inner)
                work += [(child, inner) for child in reversed(self.children(place))]
        value: Value | list[object] = whole[0]
        return value

    def list_depths(self) -> list[int]:
        """Return of each node how many lists its value has inside each other."""
        depths = [0] * len(self.nodes)
        # What is inside a node has a higher number than the node.
        for number in reversed(range(len(self.nodes))):
            below = [0 if child >= 0 else depths[~child] for child in self._children[number]]
            depths[number] = 1 + max(below) if self.nodes[number].kind == "parallel" else below[-1]
        return depths
