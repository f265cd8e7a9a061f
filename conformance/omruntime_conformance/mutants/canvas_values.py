"""Wrong runtimes for the rules of canvases: what steps are handed, how a canvas is found and looked at as a whole."""

# What a mutant changes is often private.

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant

_SCRIPTS = "omruntime.worker.actions.scripts"
_RESULTS = "omruntime.client.canvas_results"


@mutant("CAN-016")
def what_was_stored_is_handed_on_as_metadata(patch: Patch) -> None:
    """After an action with rName the next step is handed the Metadata of the dataset."""

    @patch("omruntime.client.submission:taken_of")
    def taken(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        take = wrapped(*args)
        return "" if take == "dataset" else take


@mutant("CAN-016")
def what_is_handed_on_shows_in_the_envelope(patch: Patch) -> None:
    """The envelope of a script lists what it was handed among its keyword arguments."""

    @patch(f"{_SCRIPTS}:_run_package")
    def run(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        *_, kwargs, given = args
        value = wrapped(*args)
        kwargs.update(given)
        return value


@mutant("CAN-016")
def what_is_handed_on_wins(patch: Patch) -> None:
    """What a script is handed takes the place of what was given at the call."""

    @patch(f"{_SCRIPTS}:_completed")
    def completed(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        function, positional, named, given, om = args
        return wrapped(function, positional, {key: named[key] for key in named if key not in given}, given, om)


@mutant("CAN-017")
def a_pickled_canvas_is_a_plain_task(patch: Patch) -> None:
    """The result of a canvas that was pickled comes back as the handle of a task."""

    @patch.module(_RESULTS)
    def restore(module: Any) -> None:
        from omruntime.client.result import _restore

        module._restore = _restore


@mutant("CAN-017")
def a_canvas_is_found_as_a_plain_task(patch: Patch) -> None:
    """A canvas that another process has submitted is found as a task without steps."""

    @patch("omruntime.client.finding:found_by_id")
    def found(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.client.result import AsyncResult

        handle, runtime = wrapped(*args), args[2]
        state = handle._session.ledger.states([handle.id])[handle.id]
        mine = runtime.engine.is_open and state.request is not None and state.request.runtime == runtime.backend.lease
        return handle if mine or state.end is not None else AsyncResult(handle.id, handle._session, runtime)


@mutant("CAN-017")
def an_awaited_canvas_has_no_value(patch: Patch) -> None:
    """Whoever awaits a canvas gets what its own record holds, which is nothing."""

    @patch("omruntime.client.result:AsyncResult._awaited")
    async def awaited(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        value = await wrapped()
        return None if hasattr(instance, "steps") else value


@mutant("CAN-019")
def values_of_steps_outlive_their_canvas(patch: Patch) -> None:
    """forget() of a canvas forgets the canvas, and leaves its steps."""

    @patch(f"{_RESULTS}:CanvasResult.forget")
    def forget(_wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        return instance._session.ledger.forget(instance.id)


@mutant("CAN-019")
def forget_says_yes_too_early(patch: Patch) -> None:
    """forget() of a canvas that is not over is True, and forgets the steps that are."""

    @patch(f"{_RESULTS}:CanvasResult.forget")
    def forget(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        return wrapped() or all(step.forget() or True for step in instance.steps())


@mutant("CAN-020")
def the_reducing_step_is_one_of_the_group(patch: Patch) -> None:
    """collect() of a mapreduce has one group of all its steps, the one that reduces among them."""

    @patch(f"{_RESULTS}:CanvasResult.collect")
    def collect(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        from omruntime.canvas import ROOT
        from omruntime.client.group import GroupResult

        if instance._plan.kind(ROOT) != "mapreduce":
            return wrapped()
        return {GroupResult(instance.id, instance.steps())}


@mutant("CAN-020")
def the_steps_of_a_parallel_are_collected_one_by_one(patch: Patch) -> None:
    """collect() of a parallel has the handles of its steps, and no group."""

    @patch(f"{_RESULTS}:CanvasResult.collect")
    def collect(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        from omruntime.canvas import ROOT

        return set(instance.steps()) if instance._plan.kind(ROOT) == "parallel" else wrapped()


@mutant("CAN-023")
def values_are_handed_on_as_json(patch: Patch) -> None:
    """What a step is handed has been through JSON, where JSON could hold it."""

    @patch("omruntime.worker.upstream:_Reader._taken")
    def taken(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        import json

        value = wrapped(*args)
        try:
            return json.loads(json.dumps(value))
        except (TypeError, ValueError):
            return value


@mutant("CAN-023")
def large_values_are_cut(patch: Patch) -> None:
    """Of an array that takes more than a megabyte the next step is handed the beginning."""

    @patch("omruntime.worker.upstream:_Reader._taken")
    def taken(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        value = wrapped(*args)
        return value[: 2**17] if getattr(value, "nbytes", 0) > 2**23 else value
