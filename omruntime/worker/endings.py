"""The ends that a host writes: what the runner said, and what the runner cannot say any more."""

from __future__ import annotations

import time

from omruntime.auth import Auth
from omruntime.errors import TaskRevoked, TaskTimeout, WorkerLost
from omruntime.ledger import End, Ledger, TaskState
from omruntime.wire import end_of, failure
from omruntime.worker.delivery import Delivery
from omruntime.worker.process import Exit

__all__ = ["LAST_LINES", "VerdictMaker", "ended", "lost", "revoked", "timed_out"]

LAST_LINES = 20
"""Lines of a lost worker's output that the error carries."""


def ended(
    delivery: Delivery, state: str, worker: str, outcome: bytes = b"", logs: str = "", blobs: list[str] | None = None
) -> End:
    """Return the end of the delivery's attempt, as of now."""
    return End(
        state=state,
        outcome=outcome,
        name=delivery.header.title,
        worker=worker,
        submitted=delivery.header.submitted,
        started=delivery.started,
        ended=time.time(),
        logs=logs,
        blobs=blobs or [],
    )


def _failed(delivery: Delivery, exc: Exception, auth: Auth, worker: str, logs: str, status: str = "FAILURE") -> End:
    outcome, blobs = failure(
        exc,
        task=delivery.task,
        attempt=delivery.attempt,
        store=delivery.site.store,
        auth=auth,
        status=status,
        retryable=False,
    )
    return ended(delivery, status, worker, outcome, logs, blobs)


def lost(delivery: Delivery, exit: Exit | None, auth: Auth, worker: str, logs: str, why: str = "") -> End:
    """Return the terminal end of a task whose runner is gone."""
    lines = logs.splitlines()[-LAST_LINES:]
    message = (
        f"the worker {worker} {exit if exit is not None else why} while it ran {delivery.header.title} "
        f"(task {delivery.task}, attempt {delivery.attempt}); no attempts are left{_copy(delivery)}"
    )
    if lines:
        message += "; its last output:\n" + "\n".join(lines)
    error = WorkerLost(
        message,
        task=delivery.task,
        attempt=delivery.attempt,
        signal=exit.signal if exit is not None else None,
        exitcode=exit.exitcode if exit is not None else None,
        output="\n".join(lines),
    )
    return _failed(delivery, error, auth, worker, logs)


def _copy(delivery: Delivery) -> str:
    return f"; what ran until then is in om.jobs.get({delivery.results!r})" if delivery.results else ""


def timed_out(delivery: Delivery, auth: Auth, worker: str, logs: str) -> End:
    """Return the terminal end of a task that ran over its time."""
    limit = delivery.header.timeout
    error = TaskTimeout(
        f"{delivery.header.title} (task {delivery.task}) was stopped after {limit} s, its time limit; "
        f"give it more with require(timeout=...){_copy(delivery)}",
        task=delivery.task,
        timeout=limit,
        results=delivery.results,
    )
    return _failed(delivery, error, auth, worker, logs)


def revoked(delivery: Delivery, auth: Auth, why: str) -> End:
    """Return the terminal end of a task that is not to run any more."""
    error = TaskRevoked(f"{delivery.header.title} (task {delivery.task}) {why}", task=delivery.task)
    return _failed(delivery, error, auth, "", "", "REVOKED")


class VerdictMaker:
    """Makes the terminal end of a task whose worker or runtime is gone."""

    def __init__(self, ledger: Ledger, auth: Auth) -> None:
        self._ledger = ledger
        self._auth = auth

    def __call__(self, task: str, state: TaskState, why: str) -> End:
        """Return the end; ``why`` says what was observed."""
        claim, attempt = state.claim, state.attempt
        where = f"worker {claim.worker}, attempt {attempt}" if claim is not None and claim.worker else "never started"
        error = WorkerLost(
            f"{why}: {state.name} (task {task}, {where}) was lost with the process that ran it; run it again",
            task=task,
            attempt=attempt if claim is not None else None,
        )
        return end_of(task, state, error, self._ledger.store, self._auth)
