"""Waiting for a task, and telling its own failure from ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omruntime.cli.failures import TaskFailed
from omruntime.errors import JobError, RemoteTraceback, ResultTimeout

if TYPE_CHECKING:
    from omruntime import AsyncResult

__all__ = ["await_value"]


def await_value(handle: AsyncResult, timeout: float | None, *, ends_with_us: bool = False) -> Any:
    """Return the value of a task.

    Args:
        handle: the task.
        timeout: seconds to wait, None for as long as it takes.
        ends_with_us: the task's worker ends with this process.

    Raises:
        TaskFailed: the task has ended without a value.
        ResultTimeout: it is not over in time.
    """
    try:
        return handle.get(timeout)
    except Exception as exc:
        # What the task raised comes with its remote traceback as the cause, and may be of any type.
        if isinstance(exc.__cause__, RemoteTraceback) or isinstance(exc, JobError):
            raise TaskFailed(handle.id, exc) from exc
        if ends_with_us and isinstance(exc, ResultTimeout):
            raise ResultTimeout(
                f"task {handle.id} was not over after {timeout} s and ends with its worker, which belongs to this "
                "command; give it more time, or an engine whose workers stay (--runtime)"
            ) from exc
        raise
