"""Wrong runtimes for the laws: what only a random canvas, value or history comes upon."""

# What a mutant changes is often private.

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("LAW-001")
def one_step_of_a_reducing_parallel_is_handed_the_values(patch: Patch) -> None:
    """Where a parallel reduces, its first step is handed the values, and the others are handed nothing."""

    @patch("omruntime.canvas.inputs:Inputs.of")
    def of(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        handed, plan = wrapped(*args), instance._plan
        parent, position = plan.parent(args[0])
        first = plan.kind(parent) != "parallel" or position == 0
        return handed if handed is None or handed[0] == "result" or first else None


@mutant("LAW-002")
def keys_become_text(patch: Patch) -> None:
    """A date, a time span or a UUID that is a key of a dictionary comes back as its text."""

    @patch("omruntime.worker.actions.scripts:_run_function")
    def run(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        return _with_text(wrapped(*args))


def _with_text(value: Any) -> Any:
    from datetime import date, timedelta
    from uuid import UUID

    if type(value) in (list, tuple):
        return type(value)(map(_with_text, value))
    if type(value) is not dict:
        return value
    odd = (date, timedelta, UUID)
    return {str(key) if isinstance(key, odd) else key: _with_text(each) for key, each in value.items()}


@mutant("LAW-003")
def what_has_lost_a_worker_cannot_be_cancelled(patch: Patch) -> None:
    """cancel() of a task that runs again since it has lost a worker is False, and changes nothing."""

    @patch("omruntime.client.result:AsyncResult.cancel")
    def cancel(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        return instance._state().attempt == 1 and wrapped()
