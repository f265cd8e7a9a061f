"""Tasks as a table that is up to date whenever it is drawn."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omruntime.cli.output import seconds, table
from omruntime.errors import OmegaRuntimeError

if TYPE_CHECKING:
    from omruntime import AsyncResult, Omega
    from omruntime.ledger import TaskState

__all__ = ["COLUMNS", "Board", "task_row"]

COLUMNS = ("name", "id", "worker", "status", "seconds")


def task_row(id: str, state: TaskState) -> dict[str, Any]:
    """Return what the facts say of a task."""
    from omruntime.client.portrait import run_times
    from omruntime.ledger import CANVAS_NAMES

    claim, end, request = state.claim, state.end, state.request
    started, ended = run_times(state)
    submitted = end.submitted if end is not None else request.submitted if request is not None else 0.0
    # Nobody runs a canvas: it takes as long as it is open.
    begun = started or (submitted if state.name.startswith(CANVAS_NAMES) else 0.0)
    return {
        "name": state.name,
        "id": id,
        "worker": end.worker if end is not None else claim.worker if claim is not None else "",
        "status": state.status,
        "attempt": state.attempt,
        "submitted": submitted,
        "started": started,
        "ended": ended,
        "seconds": seconds(begun, ended or time.time()),
    }


@dataclass
class Board:
    """Tasks in the order in which they were added, as the ledger knows them."""

    om: Omega
    handles: list[AsyncResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._latest: list[dict[str, Any]] = []

    def add(self, handle: AsyncResult) -> AsyncResult:
        """Show a task, and return its handle."""
        self.handles.append(handle)
        return handle

    def rows(self) -> list[dict[str, Any]]:
        """Return what the store says about the tasks at this moment; while it is away, what it said last."""
        try:
            states = self.om.session.ledger.states([each.id for each in self.handles])
        except OmegaRuntimeError:
            return self._latest
        rows = [task_row(id, state) for id, state in states.items() if not isinstance(state, Exception)]
        self._latest = [{name: row[name] for name in (*COLUMNS, "attempt")} for row in rows]
        return self._latest

    def __rich__(self) -> Any:
        from rich.console import Group

        return Group("", table(COLUMNS, [[row[name] for name in COLUMNS] for row in self.rows()]), "")
