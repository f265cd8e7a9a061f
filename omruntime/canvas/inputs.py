"""What each step of a canvas is handed: worked out once, when the canvas is submitted, and signed with the step."""

from __future__ import annotations

from collections.abc import Sequence

from omruntime.canvas.plan import Plan
from omruntime.errors import CanvasError
from omruntime.wire import Source

__all__ = ["MOST_LISTS", "Inputs"]

MOST_LISTS = 100
"""Lists inside each other that can be handed on: what writes and reads their sources recurses."""


class Inputs:
    """The sources of the values that the steps of a plan are handed.

    Args:
        plan: the plan.
        takes: what is handed on of each step's value, see `Source.take`.
    """

    def __init__(self, plan: Plan, takes: Sequence[str]) -> None:
        self._plan = plan
        self._takes = takes
        self._lists: dict[tuple[int, int], Source] = {}
        self._depths = plan.list_depths()

    def of(self, step: int) -> tuple[str, Source] | None:
        """Return what a step is handed, as its role and its source; None where nothing comes before it.

        Raises:
            CanvasError: it would be lists nested too deep.
        """
        plan, place = self._plan, step
        while (above := plan.parent(place)) is not None:
            parent, position = above
            siblings = plan.children(parent)
            if plan.kind(parent) == "sequence" and position > 0:
                return "result", self._source(siblings[position - 1])
            if plan.kind(parent) == "mapreduce" and position == len(siblings) - 1:
                return "results", self._list(parent, position)
            place = parent
        return None

    def _source(self, place: int) -> Source:
        place = self._plan.deciding(place)
        if place >= 0:
            return Source(first=place, take=self._takes[place])
        return self._list(place, len(self._plan.children(place)))

    def _list(self, node: int, count: int) -> Source:
        """Return the source of the list of the values of a node's first children; the same one is made once."""
        if (node, count) not in self._lists:
            members = self._plan.children(node)[:count]
            depth = 1 + max(self._depths[~child] if child < 0 else 0 for child in members)
            if depth > MOST_LISTS:
                raise CanvasError(
                    f"a step of this canvas would be handed lists nested {depth} deep, and {MOST_LISTS} are allowed; "
                    "write some of its parallels beside each other, not inside"
                )
            self._lists[node, count] = self._listed(members)
        return self._lists[node, count]

    def _listed(self, places: Sequence[int]) -> Source:
        items: list[Source] = []
        for place in places:
            item = self._source(place)
            last = items[-1] if items else None
            if item.items is not None:
                items.append(item)
            elif last is not None and _follows(last, item):
                items[-1] = Source(last.first, last.count + 1, last.take)
            else:
                items.append(Source(item.first, 1, item.take))
        return Source(items=items)


def _follows(run: Source, item: Source) -> bool:
    return run.items is None and item.first == run.first + run.count and item.take == run.take
