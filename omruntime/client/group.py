"""Handles of tasks that run at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from omruntime.client.progress import show_progress
from omruntime.client.result import AsyncResult
from omruntime.pictures import Picture, Pictured

__all__ = ["GroupResult"]


class GroupResult(Sequence[AsyncResult], Pictured):
    """The handles of steps that run at the same time, in the order written.

    Attributes:
        id: tells it from other groups.
    """

    def __init__(self, id: str, members: Sequence[AsyncResult]) -> None:
        self.id = id
        self._members = list(members)

    def get(self, timeout: float | None = None) -> list[Any]:
        """Wait for all steps and return their values in the order written; raises the first error in that order.

        Args:
            timeout: seconds to wait at the most for all of them.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        return [
            member.get(None if deadline is None else max(0.0, deadline - time.monotonic()))
            for member in self._members
        ]

    def ready(self) -> bool:
        """Tell whether all steps are over."""
        return all(member.ready() for member in self._members)

    def progress(self) -> None:
        """Show a bar, in a terminal or a notebook, until all steps are over; an interrupt ends the watching only."""
        if self._members:
            show_progress("group", self._members[0].ledger, [member.id for member in self._members], self.ready)

    def _picture(self) -> Picture:
        from omruntime.client.group_portrait import MOST_TASKS, Member, group_picture

        handles = self._members[:MOST_TASKS]
        states = handles[0].ledger.states([each.id for each in handles]) if handles else {}
        members = [Member.of(each, states[each.id]) for each in handles]
        return group_picture("group", "at the same time", len(self), members, [("id", self.id)])

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, index: Any) -> Any:
        return self._members[index]

    def __iter__(self) -> Iterator[AsyncResult]:
        return iter(self._members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GroupResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<GroupResult: {self.id} [{', '.join(member.id for member in self._members)}]>"
