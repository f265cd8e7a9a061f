"""Fan-in: who of those that end at the same time is the last one."""

from __future__ import annotations

import threading
from typing import Protocol

__all__ = ["Joins", "MemoryJoins"]


class Joins(Protocol):
    """Knows which members of the nodes of a canvas are over."""

    def join(self, canvas: str, node: int, member: int, count: int, failed: str, *, again: bool) -> str | None:
        """Mark a member as over; the caller that completes the node is told so, nobody else.

        Args:
            canvas: the canvas.
            node: number of the node.
            member: which of its members is over.
            count: how many members there are.
            failed: id of the step that the member has failed with; empty for success.
            again: this was begun before, and perhaps not brought to its end.

        Returns:
            Id of the first failed step in the order written, empty when all have succeeded; None while members are
            open, or when somebody else has completed the node.
        """


class MemoryJoins:
    """Of one canvas whose steps all end in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over: dict[int, set[int]] = {}
        self._first: dict[int, tuple[int, str]] = {}

    def join(self, canvas: str, node: int, member: int, count: int, failed: str, *, again: bool) -> str | None:
        """See `Joins.join`."""
        with self._lock:
            over = self._over.setdefault(node, set())
            if member in over and not again:
                return None
            over.add(member)
            if failed and (node not in self._first or member <= self._first[node][0]):
                self._first[node] = (member, failed)
            return self._first.get(node, (0, ""))[1] if len(over) == count else None
