"""What has become of the runs of a mapped notebook."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from omruntime.client.result import AsyncResult
from omruntime.errors import ResultExpired, ResultTimeout, UnknownTask
from omruntime.ledger import TaskState
from omruntime.pictures import Count, Picture, Pictured, follow, polled
from omruntime.store import Metadata

if TYPE_CHECKING:
    from omruntime.client.runtime import OmegaRuntime

__all__ = ["NEVER_SENT", "JobTasks", "TaskRecord"]

NEVER_SENT = "UNSENT"
"""Status of a task whose notebook was made, and which never reached the engine."""
_RUN_STATUS = {"SUCCESS": "OK", "FAILURE": "ERROR", "REVOKED": "ERROR"}


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One task of a map, with the status of its last run."""

    meta: Metadata
    status: str
    state: TaskState | None = None
    """What the ledger knows of that run, while it does."""

    @classmethod
    def of(cls, tasks: Iterable[Metadata], runtime: OmegaRuntime) -> list[TaskRecord]:
        """Return the records of tasks, in few look-ups."""
        tasks = list(tasks)
        states = runtime.om.session.ledger.states([meta.attributes["task_id"] for meta in tasks])
        return [cls._of(meta, states[meta.attributes["task_id"]], runtime) for meta in tasks]

    @classmethod
    def _of(cls, meta: Metadata, state: Any, runtime: OmegaRuntime) -> TaskRecord:
        return cls(meta, _status(meta, state, runtime), state if isinstance(state, TaskState) else None)

    @property
    def task_id(self) -> str:
        """Id of the last run."""
        return str(self.meta.attributes["task_id"])

    @property
    def run_status(self) -> str:
        """OK, ERROR, or unknown while it is not over."""
        return _RUN_STATUS.get(self.status, "unknown")

    @property
    def is_due(self) -> bool:
        """Whether it has ended without success, or was never sent."""
        return self.status in ("FAILURE", "REVOKED", NEVER_SENT)


def _status(meta: Metadata, state: Any, runtime: OmegaRuntime) -> str:
    if isinstance(state, UnknownTask):
        return NEVER_SENT
    if isinstance(state, ResultExpired):
        # The record is gone; the copy that the run has left still knows.
        runs = runtime.om.jobs.metadata(meta).attributes["job_runs"]
        last = [run["status"] for run in runs if run["task_id"] == meta.attributes["task_id"]]
        return "SUCCESS" if "OK" in last else "FAILURE"
    return str(state.status)


class JobTasks(list[Metadata], Pictured):
    """Tasks that a notebook was mapped to: the `Metadata` of their notebooks, in the order written."""

    def __init__(self, name: str, tasks: Iterable[Metadata], runtime: OmegaRuntime) -> None:
        super().__init__(tasks)
        self._name = name
        self._runtime = runtime

    @cached_property
    def _handles(self) -> list[AsyncResult]:
        return [self._runtime.result(meta.attributes["task_id"]) for meta in self]

    def collect(self) -> list[AsyncResult]:
        """Return the handles of the tasks, in the order written.

        Raises:
            UnknownTask: one of them was never sent, since `map` was interrupted before it.
        """
        return list(self._handles)

    def get(self, timeout: float | None = None) -> list[Metadata]:
        """Wait for all tasks and return the `Metadata` of their executed copies, in the order written.

        Args:
            timeout: seconds to wait at the most for all of them together.

        Raises:
            ResultTimeout: they are not all over yet.
            Exception: the error of the first one, in the order written, that has failed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        outcomes: list[Any] = []
        failures: list[BaseException] = []
        for handle in self._handles:
            try:
                outcomes.append(handle.get(None if deadline is None else max(0.0, deadline - time.monotonic())))
            except ResultTimeout:
                raise
            except Exception as exc:  # noqa: BLE001 - whatever a task has raised is raised when all are over
                failures.append(exc)
        if failures:
            raise failures[0]
        return outcomes

    def progress(self) -> None:
        """Show a bar until all tasks are over; an interrupt ends the watching, and no task."""
        follow("tasks", polled(self._count))

    def _count(self) -> Count:

        records = TaskRecord.of(self, self._runtime)
        over = [each for each in records if each.run_status != "unknown"]
        return Count(len(over), len(records), sum(each.is_due for each in over))

    def __reduce__(self) -> tuple[Any, ...]:
        # The list is what can go to another process.
        return list, (list(self),)

    def _picture(self) -> Picture:
        from omruntime.client.group_portrait import MOST_TASKS, Member, group_picture

        members = []
        for each in TaskRecord.of(self[:MOST_TASKS], self._runtime):
            label = each.meta.name.rpartition("/")[2].removesuffix(".ipynb")
            handle = AsyncResult(each.task_id, self._runtime.om.session, self._runtime)
            members.append(Member(label, each.status, handle, each.state))
        groups = dict.fromkeys(str(meta.attributes["task_group"]) for meta in self)
        return group_picture(self._name, "mapped notebook", len(self), members, [("group", ", ".join(groups))])
