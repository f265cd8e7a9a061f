"""Wrong runtimes for the rules of errors."""

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("ERR-001")
def constructors_must_take_their_args(patch: Patch) -> None:
    """An exception whose constructor does not take its args arrives as a TaskError."""

    @patch("omruntime.wire.exceptions:_bare")
    def bare(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError("there is no other way than the constructor")


@mutant("ERR-001")
def one_exception_for_all(patch: Patch) -> None:
    """Whoever asks the same handle gets the same exception object."""

    @patch("omruntime.client.result:AsyncResult.read")
    def read(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        status, value = wrapped(*args, **kwargs)
        return status, vars(instance).setdefault("error", value) if status == "FAILURE" else value


@mutant("ERR-002")
def the_users_own_cause_is_lost(patch: Patch) -> None:
    """The chain of an exception ends with the remote traceback."""

    @patch("omruntime.wire.outcomes:decode_exception")
    def decode_exception(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import RemoteTraceback

        error = wrapped(*args, **kwargs)
        if isinstance(error.__cause__, RemoteTraceback):
            error.__cause__.__cause__ = None
        return error


@mutant("ERR-002")
def tracebacks_are_lost(patch: Patch) -> None:
    """An exception has its own cause, and nothing of where it was raised."""

    @patch("omruntime.wire.outcomes:decode_exception")
    def decode_exception(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        error = wrapped(*args, **kwargs)
        if error.__cause__ is not None:
            error.__cause__ = error.__cause__.__cause__
        return error


@mutant("ERR-003")
def a_task_error_has_no_traceback(patch: Patch) -> None:
    """What stands for an exception that cannot be rebuilt says nothing of where it was raised."""

    @patch("omruntime.wire.exceptions:_rebuild")
    def rebuild(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import TaskError

        error = wrapped(*args, **kwargs)
        if type(error) is TaskError:
            error.remote_traceback = ""
        return error


@mutant("ERR-004")
def values_fall_back_to_text(patch: Patch) -> None:
    """A value that cannot be serialised arrives as its text."""

    @patch("omruntime.worker.runner:success")
    def success(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import SerializationError

        try:
            return wrapped(*args, **kwargs)
        except SerializationError:
            return wrapped(repr(args[0]), **kwargs)


@mutant("ERR-004")
def a_value_that_stays_behind_ends_the_worker(patch: Patch) -> None:
    """The worker of a task whose value cannot be serialised ends after it."""

    @patch("omruntime.worker.runner:Runner._perform")
    def perform(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        import os

        told, outcome = wrapped(*args, **kwargs)
        if told["status"] == "FAILURE" and not told["retryable"]:
            instance._afterwards.append(lambda: os._exit(1))
        return told, outcome


@mutant("ERR-005")
def arguments_fall_back_to_text(patch: Patch) -> None:
    """An argument that cannot be serialised is sent as its text."""

    @patch("omruntime.client.submission:pack_value")
    def pack_value(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import SerializationError

        try:
            return wrapped(*args, **kwargs)
        except SerializationError:
            return wrapped({**args[0], "args": [repr(args[0])], "kwargs": {}}, *args[1:], **kwargs)


@mutant("ERR-006")
def unknown_objects_are_the_workers_business(patch: Patch) -> None:
    """Whether there is a model, script or job of a name is found out by the worker."""

    @patch("omruntime.client.submission:_requirements")
    def requirements(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import ObjectNotFound

        try:
            return wrapped(*args, **kwargs)
        except ObjectNotFound:
            return args[0].requirements


@mutant("ERR-006")
def unknown_data_are_the_workers_business(patch: Patch) -> None:
    """Whether there is a dataset of a name is found out by the worker."""

    @patch("omruntime.client.proxies:data_argument")
    def data_argument(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import ObjectNotFound

        try:
            return wrapped(*args, **kwargs)
        except ObjectNotFound:
            return ["name", args[0]]


@mutant("ERR-007")
def an_exit_ends_the_worker(patch: Patch) -> None:
    """The worker of a task that has left by SystemExit or KeyboardInterrupt ends after it."""
    left: list[Any] = []

    @patch("omruntime.worker.runner:failure")
    def failure(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        left.extend([args[0]] if isinstance(args[0], SystemExit | KeyboardInterrupt) else [])
        return wrapped(*args, **kwargs)

    @patch("omruntime.worker.runner:Runner._perform")
    def perform(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        import os

        answer = wrapped(*args, **kwargs)
        if left:
            instance._afterwards.append(lambda: os._exit(1))
        return answer


@mutant("ERR-008")
def one_attempt_too_many(patch: Patch) -> None:
    """A task with retries runs once more than it says."""

    @patch("omruntime.worker.delivery:Delivery.may_retry_failure")
    def may_retry_failure(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return bool(instance.header.retries) and instance.attempt <= instance.header.retries + 1


@mutant("ERR-008")
def retried_without_asking(patch: Patch) -> None:
    """A task of which nothing was said is tried again as after a lost worker."""

    @patch("omruntime.worker.delivery:Delivery.may_retry_failure")
    def may_retry_failure(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return instance.may_retry_loss()


@mutant("ERR-008")
def retried_without_a_pause(patch: Patch) -> None:
    """The next attempt begins at once, whatever retry_delay says."""

    @patch("omruntime.worker.dispatch:Dispatcher.later")
    def later(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(0.0, args[1])


@mutant("ERR-009")
def what_cannot_be_loaded_raises_as_it_is(patch: Patch) -> None:
    """get() of a value whose class is not there raises what loading it raised."""

    @patch("omruntime.wire.outcomes:_loaded")
    def loaded(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import SerializationError

        try:
            return wrapped(*args, **kwargs)
        except SerializationError as exc:
            raise exc.__cause__ or exc from None
