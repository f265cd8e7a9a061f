"""Wrong runtimes for the rules of labels."""

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("LBL-001")
def free_workers_help_out(patch: Patch) -> None:
    """A worker that has nothing to do takes tasks of labels that it has not, while those who have them are busy."""

    @patch("omruntime.worker.delivery:WorkQueue.pop")
    def pop(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args) or wrapped(args[0] | {"default", "gpu", "big"})


@mutant("LBL-002")
def busy_workers_are_not_shown(patch: Patch) -> None:
    """workers() and labels() leave out whoever has something to do."""

    @patch("omruntime.worker.host:Host.workers")
    def workers(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        busy = {slot.name for slot in instance.slots if slot.delivery is not None}
        return [worker for worker in wrapped() if worker.name not in busy]


@mutant("LBL-002")
def those_who_join_are_not_shown(patch: Patch) -> None:
    """workers() and labels() show those who were there at the beginning."""

    @patch("omruntime.worker.host:Host.workers")
    def workers(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        there = wrapped()
        known = vars(instance).setdefault("first", {worker.name for worker in there})
        return [worker for worker in there if worker.name in known]


@mutant("LBL-003")
def require_changes_the_runtime(patch: Patch) -> None:
    """require() changes the runtime that it is called on."""

    @patch("omruntime.client.runtime:OmegaRuntime.require")
    def require(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **{**kwargs, "always": True})


@mutant("LBL-003")
def threads_share_what_is_required(patch: Patch) -> None:
    """The runtime that require() returned last stands for all that it has returned."""
    last: list[Any] = []

    @patch("omruntime.client.runtime:OmegaRuntime.require")
    def require(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        view = wrapped(*args, **kwargs)
        last[:] = [view]
        view.derived = True
        return view

    @patch("omruntime.client.runtime:OmegaRuntime.script")
    def script(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if vars(instance).get("derived"):
            return type(wrapped(*args))(args[0], last[0])
        return wrapped(*args)


@mutant("LBL-004")
def stored_labels_win(patch: Patch) -> None:
    """A label that is stored with the object is used, whatever the call says."""

    @patch("omruntime.client.submission:_requirements")
    def requirements(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.client.requirements import Requirements

        wanted = wrapped(*args, **kwargs)
        stored = wrapped(args[0].with_requirements(Requirements()), *args[1:])
        return stored.over(wanted)


@mutant("LBL-004")
def always_holds_once(patch: Patch) -> None:
    """require(always=True) is like any other require()."""

    @patch("omruntime.client.runtime:OmegaRuntime.require")
    def require(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **{**kwargs, "always": False})


@mutant("LBL-005")
def missing_labels_fall_back(patch: Patch) -> None:
    """A task whose label no worker has runs on any worker."""

    @patch("omruntime.client.submission:_prepare")
    def prepare(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.client.inspection import labels_there

        prepared = wrapped(*args, **kwargs)
        lacks = labels_there(prepared.header.label, args[0].at(prepared.header.label)) is not None
        return prepared.with_fields(label="default") if lacks else prepared


@mutant("LBL-005")
def missing_labels_are_an_error(patch: Patch) -> None:
    """A task whose label no worker has is refused, also where nobody asked for that."""

    @patch("omruntime.client.submission:_requirements")
    def requirements(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from dataclasses import replace

        return replace(wrapped(*args, **kwargs), on_missing="error")


@mutant("LBL-006")
def a_missing_label_is_always_waited_for(patch: Patch) -> None:
    """on_missing='error' changes nothing."""

    @patch("omruntime.client.submission:_check_label")
    def check_label(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return None


@mutant("LBL-007")
def local_is_the_client_itself(patch: Patch) -> None:
    """A script of the label 'local' is called in the client's own process."""

    @patch("omruntime.client.submission:submit_now")
    def submit_now(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        runtime, kind, name, _, request = args
        if kind != "script" or runtime.requirements.label != "local":
            return wrapped(*args, **kwargs)
        runtime.om.scripts.get(name)(*request["args"], **request["kwargs"])
        return wrapped(runtime, "runtime", "", "ping", {"args": [], "kwargs": {}})
