"""Terminal ends of tasks that are known by their facts alone."""

from __future__ import annotations

import time

from omruntime.abc import Store
from omruntime.auth import Auth
from omruntime.ledger import End, TaskState
from omruntime.wire.outcomes import failure

__all__ = ["end_of", "end_with"]


def end_of(
    task: str, state: TaskState, error: Exception, store: Store, auth: Auth, *, status: str = "FAILURE"
) -> End:
    """Return the terminal end of a task that is known by its facts alone."""
    outcome, blobs = failure(
        error, task=task, attempt=state.attempt, store=store, auth=auth, status=status, retryable=False
    )
    return end_with(state, status, outcome, blobs)


def end_with(state: TaskState, status: str, outcome: bytes, blobs: list[str]) -> End:
    """Return the end of a task with an outcome that was made already."""
    claim, request = state.claim, state.request
    return End(
        state=status,
        outcome=outcome,
        name=state.name,
        worker=claim.worker if claim is not None else "",
        submitted=request.submitted if request is not None else 0.0,
        started=claim.started if claim is not None else 0.0,
        ended=time.time(),
        blobs=blobs,
    )
