"""Wrong runtimes for the rules of canvases: steps that fail, are cancelled or lose their worker; closing."""

# What a mutant changes is often private.

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant

_CONDUCTOR = "omruntime.canvas.conductor:Conductor"
_ATTEMPTS = "omruntime.worker.attempts:Attempts"


@mutant("CAN-006")
def later_steps_run_after_a_failure(patch: Patch) -> None:
    """A canvas goes on after a step that has failed, whose value is None."""

    @patch(f"{_CONDUCTOR}._step_ended")
    def step_ended(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        task, canvas, _, again = args
        return wrapped(task, canvas, True, again)

    @patch("omruntime.worker.upstream:read_outcome")
    def read(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        status, value = wrapped(*args, **kwargs)
        return "SUCCESS", value if status == "SUCCESS" else {"result": None}


@mutant("CAN-006")
def steps_that_never_ran_are_revoked(patch: Patch) -> None:
    """The steps behind one that has failed read REVOKED, as if somebody had cancelled them."""

    @patch(f"{_CONDUCTOR}._skip")
    def skip(_wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        canvas, steps, failed = args
        instance.records.bar(
            canvas, steps, lambda task, state: instance._revoked(task, state, f"waited for {failed}")
        )


@mutant("CAN-006")
def a_canvas_has_an_error_of_its_own(patch: Patch) -> None:
    """A canvas fails with an error that names the step, instead of that step's own."""

    @patch("omruntime.client.canvas_results:CanvasResult.read")
    def read(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.client.result import AsyncResult

        status, value = AsyncResult.read(instance, *args)
        return wrapped(*args) if status == "SUCCESS" else (status, value)


@mutant("CAN-007")
def a_parallel_is_over_with_its_first_error(patch: Patch) -> None:
    """A parallel is over as soon as one of its steps has failed."""

    @patch(f"{_CONDUCTOR}._step_ended")
    def step_ended(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.canvas import ROOT

        task, canvas, succeeded, _ = args
        plan = instance.records.plan(canvas)
        if not succeeded and plan.kind(ROOT) == "parallel":
            return instance._finish(canvas, plan, task)
        return wrapped(*args)


@mutant("CAN-007")
def a_parallel_fails_with_the_error_that_came_first(patch: Patch) -> None:
    """Of several errors of a parallel its own is the one that came first, wherever it was written."""
    first: dict[tuple[str, int], str] = {}

    @patch("omruntime.canvas.joins:MemoryJoins.join")
    def join(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        canvas, node, _, _, failed = args
        if failed:
            first.setdefault((canvas, node), failed)
        joined = wrapped(*args, **kwargs)
        return first[canvas, node] if joined else joined


@mutant("CAN-007")
def one_error_hides_the_other_values(patch: Patch) -> None:
    """getall(return_exceptions=True) of a parallel has the first error in the place of every value."""

    @patch("omruntime.client.canvas_results:CanvasResult.getall")
    def getall(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.canvas import ROOT

        values = wrapped(*args, **kwargs)
        error = next((value for value in values if isinstance(value, Exception)), None)
        return [error] * len(values) if error and instance._plan.kind(ROOT) == "parallel" else values


@mutant("CAN-014")
def queued_steps_outlive_their_canvas(patch: Patch) -> None:
    """cancel() of a canvas leaves alone the steps that wait for a worker."""

    @patch("omruntime.canvas.records:CanvasRecords.bar")
    def bar(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.ledger import step_id

        canvas, steps, make_end = args
        states = {number: instance.ledger.state(step_id(canvas, number)) for number in steps}
        return wrapped(canvas, [number for number in steps if not _is_queued(states[number])], make_end)


def _is_queued(state: Any) -> bool:
    return state.claim is None and state.request is not None and not state.request.waits


@mutant("CAN-014")
def running_steps_outlive_their_canvas(patch: Patch) -> None:
    """cancel() of a canvas leaves its processes alone: what runs goes on, and nobody hears of it."""

    @patch(f"{_ATTEMPTS}.withdraw")
    def withdraw(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        slot = args[0]
        return not (slot.delivery is not None and slot.delivery.header.canvas) and wrapped(*args)


@mutant("CAN-018")
def a_step_cancelled_before_its_turn_has_succeeded(patch: Patch) -> None:
    """A canvas takes a step that was cancelled before it began for one that has succeeded."""

    @patch("omruntime.worker.canvases:Canvases._follow")
    def follow(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        site, task, canvas, end, *rest = args
        return wrapped(site, task, canvas, _succeeded(end) if not end.worker else end, *rest)


@mutant("CAN-025")
def a_step_cancelled_while_it_ran_has_succeeded(patch: Patch) -> None:
    """A canvas takes a step that was cancelled while it ran for one that has succeeded."""

    @patch("omruntime.worker.canvases:Canvases._follow")
    def follow(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        site, task, canvas, end, *rest = args
        return wrapped(site, task, canvas, _succeeded(end) if end.worker else end, *rest)


def _succeeded(end: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(end, state="SUCCESS") if end.state == "REVOKED" else end


@mutant("CAN-025")
def a_cancelled_step_goes_on(patch: Patch) -> None:
    """A running step that is cancelled by its own handle reads REVOKED, and runs on."""

    @patch(f"{_ATTEMPTS}.withdraw")
    def withdraw(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        slot, task = args
        delivery = slot.delivery
        if delivery is None or delivery.task != task or not delivery.header.canvas:
            return wrapped(*args)
        if not delivery.future.done():
            instance.read_ledger(delivery)
        return True


@mutant("CAN-021")
def a_killed_worker_fails_the_canvas(patch: Patch) -> None:
    """A canvas fails with the first worker that one of its steps loses, although the step runs again."""

    @patch(f"{_ATTEMPTS}._lose")
    def lose(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.worker.endings import ended

        delivery = args[1]
        instance._dispatcher.follow(delivery, ended(delivery, "FAILURE", ""), False)
        return wrapped(*args)


@mutant("CAN-022")
def close_waits_for_no_canvas(patch: Patch) -> None:
    """close() waits for the steps that run, and revokes those whose turn has not come."""

    @patch("omruntime.worker.host:Host.close")
    def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        instance._canvases.revoke(instance._dispatcher.open_deliveries(), "was revoked: its runtime was closed")
        return wrapped(*args, **kwargs)


@mutant("CAN-022")
def closing_at_once_forgets_canvases(patch: Patch) -> None:
    """close(wait=False) revokes the steps that run, and leaves their canvas open."""

    @patch("omruntime.worker.canvases:Canvases.revoke")
    def revoke(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return None


@mutant("CAN-024")
def what_cannot_travel_is_handed_on_as_text(patch: Patch) -> None:
    """A step of a canvas whose value cannot be serialised succeeds with the value's text."""

    @patch("omruntime.worker.runner:success")
    def success(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import SerializationError
        from omruntime.worker.context import CURRENT

        task = CURRENT.get()
        try:
            return wrapped(*args, **kwargs)
        except SerializationError:
            if task is None or not task.header.canvas:
                raise
            return wrapped({"result": repr(args[0])}, **kwargs)
