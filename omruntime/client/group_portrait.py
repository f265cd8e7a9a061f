"""What to show of tasks that belong together: each with its state, how long it took, and who ran it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omruntime.client.portrait import run_times
from omruntime.ledger import TaskState
from omruntime.pictures import Node, Picture, Section, Text, Tree, tally
from omruntime.pictures.texts import lasting

if TYPE_CHECKING:
    from omruntime.client.result import AsyncResult

__all__ = ["MOST_TASKS", "Member", "group_picture", "status_of_all", "task_node"]

MOST_TASKS = 20_000
"""Tasks whose state is looked at."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of the tasks."""

    label: str
    """What to call it."""
    status: str
    """How it stands; the ledger need not know."""
    handle: AsyncResult | None = None
    state: TaskState | None = None
    """What the ledger knows."""

    @classmethod
    def of(cls, handle: AsyncResult, state: Any) -> Member:
        """Return one by its handle and what a look into the ledger has found: a state, or why there is none."""
        if isinstance(state, TaskState):
            return cls(state.name or handle.id, state.status, handle, state)
        return cls(handle.id, "")


def group_picture(
    title: str, what: str, total: int, members: Sequence[Member], facts: Sequence[tuple[str, str]] = ()
) -> Picture:
    """Return what to show of tasks that belong together.

    Args:
        title: what they are called.
        what: what they are.
        total: how many there are.
        members: the tasks; of very many only the first.
        facts: what else there is to say, as names and texts.
    """
    told = tally(each.status for each in members if each.status)
    counted = ("tasks", f"{total}: {told}" if told else str(total))
    sections: list[Section] = []
    if members:
        nodes = [
            task_node(each.label, each.state) if each.state else Node(each.label, each.status) for each in members
        ]
        sections = [Tree("", nodes), *_first_error(members)]
    return Picture(title, what, status_of_all(each.status for each in members), [*facts, counted], sections)


def _first_error(members: Sequence[Member]) -> Iterator[Section]:
    for each in members:
        if each.status == "FAILURE" and each.handle is not None and each.state is not None and each.state.end:
            error = each.handle.read(each.state.end.outcome)[1]
            yield Text(f"error of {each.label}", f"{type(error).__name__}: {error}", bad=True)
            return


def task_node(label: str, state: TaskState | None, never_ran: str = "it never ran") -> Node:
    """Return what to show of one task among others.

    Args:
        label: what to call it.
        state: what the ledger says of it; None where nothing is known.
        never_ran: what to say of one that has failed without a worker.
    """
    if state is None:
        return Node(label)
    started, ended = run_times(state)
    if not started:
        return Node(label, state.status, never_ran if state.status == "FAILURE" else "")
    told = state.end or state.claim
    worker = told.worker if told is not None else ""
    return Node(label, state.status, f"{lasting((ended or time.time()) - started)} on {worker}")


def status_of_all(statuses: Iterable[str]) -> str:
    """Return the status of a whole by those of its parts."""
    known = {status for status in statuses if status}
    for word in ("FAILURE", "REVOKED"):
        if word in known:
            return word
    return next(iter(known)) if len(known) == 1 else "STARTED" if known else ""
