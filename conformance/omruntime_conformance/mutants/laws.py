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
def far_dates_come_nearer(patch: Patch) -> None:
    """A date and time that nanoseconds since 1970 cannot tell comes back as one of the last year that they can."""

    @patch("omruntime.worker.actions.scripts:_run_function")
    def run(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        return _nearer(wrapped(*args))


def _nearer(value: Any) -> Any:
    from datetime import datetime

    if isinstance(value, datetime):
        return value.replace(year=2260) if value.year > 2261 else value
    if type(value) in (list, tuple):
        return type(value)(map(_nearer, value))
    return {key: _nearer(each) for key, each in value.items()} if type(value) is dict else value


@mutant("LAW-003")
def what_has_lost_a_worker_cannot_be_cancelled(patch: Patch) -> None:
    """cancel() of a task that runs again since it has lost a worker is False, and changes nothing."""

    @patch("omruntime.client.result:AsyncResult.cancel")
    def cancel(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        return instance._state().attempt == 1 and wrapped()
