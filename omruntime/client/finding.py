"""Handles of what was submitted before, by anybody, found by the id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omruntime.client.canvas_results import CanvasResult
from omruntime.client.result import AsyncResult
from omruntime.errors import UnknownTask
from omruntime.ledger import CANVAS_NAMES, TaskState

if TYPE_CHECKING:
    from omruntime.client.runtime import OmegaRuntime
    from omruntime.client.session import Session

__all__ = ["found_by_id"]


def found_by_id(id: str, session: Session, runtime: OmegaRuntime | None) -> AsyncResult:
    """Return the handle of a task or of a canvas; one whose record has expired has a handle that says so.

    Raises:
        UnknownTask: none of this id was ever issued in this store.
    """
    known = session.ledger.states([id])[id]
    if isinstance(known, UnknownTask):
        raise known
    if isinstance(known, TaskState) and known.name.startswith(CANVAS_NAMES):
        return CanvasResult(id, session, runtime)
    return AsyncResult(id, session, runtime)
