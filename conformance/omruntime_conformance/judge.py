"""What holds after every rule, whatever it is about: judged by the suite's log and by what was read of results."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from omruntime import Omega
from omruntime.errors import (
    CanvasError,
    ResultExpired,
    ResultTimeout,
    SerializationError,
    StoreUnavailable,
    UnknownTask,
)
from omruntime_conformance.oracle import CLUSTER, PROCESS, Entry
from omruntime_conformance.values import differences

__all__ = ["ATTEMPTS", "Outcome", "Outcomes", "Reader", "too_many_copies", "too_many_executions"]

ATTEMPTS = 3
"""How often a task may be started whose worker is lost, unless its call says otherwise."""

_NO_OUTCOME = (CanvasError, ResultTimeout, ResultExpired, StoreUnavailable, UnknownTask)
"""What says nothing of how a task ended, or may say only that its reader cannot tell."""


class Reader(Protocol):
    """What is used of a handle."""

    @property
    def id(self) -> str:
        """Id of the task."""

    @property
    def status(self) -> str:
        """How far it is."""

    def get(self, timeout: float | None = None) -> Any:
        """Wait for its value."""


def too_many_executions(entries: list[Entry]) -> Iterator[str]:
    """Yield a sentence for each task that was executed more often than it may be.

    That is once; once more for each fault that has hit one of its executions, up to its attempts; and up to those
    where its call asks for retries, or where the suite has broken something that any task may be run again for.
    """
    everywhere = any(each.fault == CLUSTER for each in entries)
    hit = _executions_hit(entries)
    by_task: dict[str, dict[str, Entry]] = {}
    for each in entries:
        if each.task:
            by_task.setdefault(each.task, {}).setdefault(each.execution, each)
    for task, executions in by_task.items():
        first, *_ = executions.values()
        faults = len(hit & executions.keys())
        if first.retries is not None:
            allowed, why = 1 + first.retries, f"retries={first.retries}"
        elif everywhere:
            allowed, why = ATTEMPTS, "the suite has injected a fault that any task may be run again for"
        elif faults:
            allowed, why = min(ATTEMPTS, 1 + faults), f"{faults} of its executions met a fault of the suite"
        else:
            allowed, why = 1, "no fault was injected"
        if len(executions) > allowed:
            where = ", ".join(str(each.pid) for each in executions.values())
            yield (
                f"the task {task} ({first.name}) was executed {len(executions)} times, in the processes {where}; "
                f"{why}, so it is {allowed} at the most"
            )


def _executions_hit(entries: list[Entry]) -> set[str]:
    """Return the executions that ran in a process when the suite broke it."""
    running: dict[tuple[str, int], str] = {}
    hit = set()
    for each in entries:
        process = (each.host, each.pid)
        if each.execution:
            running[process] = each.execution
        if each.fault == PROCESS and process in running:
            hit.add(running[process])
    return hit


def too_many_copies(om: Omega) -> Iterator[str]:
    """Yield a sentence for each task that has left more than one executed copy of its notebook."""
    left: dict[str, list[str]] = {}
    for name in om.jobs.list("results/*"):
        left.setdefault(om.jobs.metadata(name).attributes.get("task_id", ""), []).append(name)
    for task, names in left.items():
        if task and len(names) > 1:
            yield f"the task {task} has left {len(names)} executed copies: {', '.join(names)}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task has ended, as one reader has seen it."""

    value: Any = None
    error: BaseException | None = None

    def differs(self, other: Outcome) -> str:
        """Describe the first difference; empty where there is none."""
        mine, others = str(self), str(other)
        if self.error is None and other.error is None:
            return differences(self.value, other.value)
        return "" if mine == others else f"{mine} became {others}"

    def suits(self, status: str) -> bool:
        """Tell whether a task that ended so may have this status."""
        if self.error is None:
            return status == "SUCCESS"
        # A value that this process cannot load is none the less a success.
        return status in ("FAILURE", "REVOKED") or isinstance(self.error, SerializationError)

    def __str__(self) -> str:
        if self.error is None:
            return f"the value {self.value!r:.80}"
        return f"{type(self.error).__name__}: {self.error}"


Find: TypeAlias = Callable[[str], Reader]
"""Finds a task by its id, anew."""


class Outcomes:
    """What was read of each task, by whom ever; one that is read twice must be the same."""

    def __init__(self) -> None:
        self._seen: dict[str, Outcome] = {}
        self.broken: list[str] = []
        """A sentence for each task that two readers have seen differently."""

    def get(self, reader: Reader, timeout: float) -> Any:
        """Return the value of a task or raise its error, and remember which it was."""
        try:
            value = reader.get(timeout=timeout)
        except _NO_OUTCOME:
            raise
        except Exception as exc:
            self._compare(reader.id, Outcome(error=exc))
            raise
        # A copy, since what is done to the value afterwards is no second outcome.
        self._compare(reader.id, Outcome(copy.deepcopy(value)))
        return value

    def read_again(self, find: Find, timeout: float) -> None:
        """Have another reader look at every task that was read, but for those that are forgotten by now."""
        for id, outcome in list(self._seen.items()):
            with contextlib.suppress(*_NO_OUTCOME):
                self._read_again(id, outcome, find, timeout)

    def _read_again(self, id: str, outcome: Outcome, find: Find, timeout: float) -> None:
        try:
            reader = find(id)
            with contextlib.suppress(Exception):
                # An error is an outcome too, and compared where it comes up.
                self.get(reader, timeout)
            status = reader.status
        except UnknownTask as exc:
            self._compare(id, Outcome(error=exc))
        else:
            if not outcome.suits(status):
                self.broken.append(f"the task {id} reads {status}, but has ended with {outcome}")

    def _compare(self, id: str, outcome: Outcome) -> None:
        first = self._seen.setdefault(id, outcome)
        difference = "" if first is outcome else first.differs(outcome)
        said = f"two readers of the task {id} have seen different outcomes: {difference}"
        if difference and said not in self.broken:
            self.broken.append(said)
