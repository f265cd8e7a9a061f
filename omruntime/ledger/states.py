"""What the facts of a task say about it."""

from __future__ import annotations

from dataclasses import dataclass

from omruntime.errors import ResultExpired, UnknownTask
from omruntime.ledger.facts import FINAL, Claim, End, Request, claim_key, decode, end_key

__all__ = ["Granted", "Refused", "TaskState", "read_state", "unknown"]


@dataclass(frozen=True, slots=True)
class Granted:
    """The claim is ours: this attempt may start."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing to start: the task has ended, or somebody else runs it."""

    end: End | None
    """The terminal end, None where another claim is live."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """What the facts say about a task at one moment."""

    status: str
    """PENDING, STARTED, SUCCESS, FAILURE or REVOKED."""
    attempt: int
    """The attempt that the status is about, from 1."""
    request: Request | None
    claim: Claim | None
    """The claim of that attempt, None while nobody has begun it."""
    end: End | None
    """The terminal end."""

    @property
    def runs(self) -> bool:
        """Whether a worker has begun this attempt, and not only somebody who keeps it from beginning."""
        return self.claim is not None and self.claim.host != ""

    @property
    def name(self) -> str:
        """Readable name of the task."""
        return self.end.name if self.end is not None else self.request.name if self.request is not None else ""


def read_state(
    task: str, attempt: int, request: Request | None, found: dict[str, bytes]
) -> TaskState | UnknownTask | ResultExpired | None:
    """Read the state of a task off the facts of one attempt; None when a later attempt decides."""
    claimed = found.get(claim_key(task, attempt))
    ended = found.get(end_key(task, attempt))
    claim = decode(Claim, claimed) if claimed is not None else None
    if ended is not None:
        end = decode(End, ended)
        return TaskState(end.state, attempt, request, claim, end) if end.state in FINAL else None
    if request is None:
        return unknown(task) if claim is None and attempt == 1 else _expired(task)
    # Between attempts the status stays STARTED: it never moves back.
    status = "STARTED" if claim is not None or attempt > 1 else "PENDING"
    return TaskState(status, attempt, request, claim, None)


def unknown(task: str) -> UnknownTask:
    """Return what to raise for a task that does not exist."""
    return UnknownTask(
        f"no task {task!r} was ever submitted to this store; check the id, and --store or OMRUNTIME_STORE"
    )


def _expired(task: str) -> ResultExpired:
    return ResultExpired(f"task {task} is over, and its record was forgotten or has expired; run it again")
