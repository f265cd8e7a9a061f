"""The table of tasks that the demo shows while they run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omruntime.cli.output import seconds, table

if TYPE_CHECKING:
    from omruntime import AsyncResult, Omega

__all__ = ["Board"]

COLUMNS = ("name", "id", "worker", "status", "seconds")


@dataclass
class Board:
    """The tasks of the demo in the order in which they were submitted, as the ledger knows them."""

    om: Omega

    def __post_init__(self) -> None:
        self.handles: list[AsyncResult] = []

    def add(self, handle: AsyncResult) -> AsyncResult:
        """Show a task, and return its handle."""
        self.handles.append(handle)
        return handle

    def rows(self) -> list[dict[str, Any]]:
        """Return what the store says about the tasks at this moment."""
        states = self.om.session.ledger.states([each.id for each in self.handles])
        rows = []
        for id, state in states.items():
            if isinstance(state, Exception):
                continue
            fact = state.end or state.claim
            started = fact.started if fact is not None else 0.0
            ended = state.end.ended if state.end is not None else time.time()
            rows.append({
                "name": state.name,
                "id": id,
                "worker": fact.worker if fact is not None else "",
                "status": state.status,
                "seconds": seconds(started, ended),
            })  # fmt: skip
        return rows

    def __rich__(self) -> Any:
        from rich.console import Group

        return Group("", table(COLUMNS, [list(row.values()) for row in self.rows()]), "")
