"""Wrong runtimes for the rules of results."""

from __future__ import annotations

import itertools
from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("RES-001")
def models_are_waited_for(patch: Patch) -> None:
    """An action on a model returns when its task is over."""

    @patch("omruntime.client.submission:submit_now")
    def submit_now(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        handle, kind = wrapped(*args, **kwargs), args[1]
        if kind == "model":
            handle.future().exception()
        return handle


@mutant("RES-001")
def ids_are_given_twice(patch: Patch) -> None:
    """Every tenth task of a process has the id of the one before it."""
    numbers = itertools.count(1)
    given = [""]

    @patch("omruntime.client.submission:new_id")
    def new_id(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if next(numbers) % 10:
            given[0] = wrapped()
        return given[0]


@mutant("RES-002")
def waits_for_its_retry_as_pending(patch: Patch) -> None:
    """A task that failed and is to be tried again reads PENDING until then."""

    @patch("omruntime.ledger.ledger:read_state")
    def read_state(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from dataclasses import replace

        state = wrapped(*args, **kwargs)
        between = getattr(state, "status", "") == "STARTED" and state.claim is None
        return replace(state, status="PENDING") if between else state


@mutant("RES-003")
def pending_until_it_is_over(patch: Patch) -> None:
    """Whoever finds a task by its id is told PENDING until it is over."""

    @patch("omruntime.client.result:AsyncResult._state")
    def read(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from dataclasses import replace

        state = wrapped()
        unseen = state.status == "STARTED" and not instance._waiting.live
        return replace(state, status="PENDING") if unseen else state


@mutant("RES-004")
def a_value_is_had_once(patch: Patch) -> None:
    """The first get() consumes the value, as from a queue of results."""

    @patch("omruntime.client.result:AsyncResult.get")
    def get(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import ResultExpired

        if vars(instance).get("consumed"):
            raise ResultExpired(f"the value of task {instance.id} was consumed")
        value = wrapped(*args, **kwargs)
        instance.consumed = True
        return value


@mutant("RES-004")
def the_same_object_each_time(patch: Patch) -> None:
    """get() gives one object to all who ask the same handle."""

    @patch("omruntime.client.result:AsyncResult.read")
    def read(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if "outcome" not in vars(instance):
            instance.outcome = wrapped(*args, **kwargs)
        status, value = instance.outcome
        return (status, value) if status == "SUCCESS" else wrapped(*args, **kwargs)


@mutant("RES-005")
def a_timeout_cancels(patch: Patch) -> None:
    """A get() that has waited long enough cancels the task."""

    @patch("omruntime.client.result:AsyncResult.get")
    def get(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import ResultTimeout

        try:
            return wrapped(*args, **kwargs)
        except ResultTimeout:
            instance.cancel()
            raise


@mutant("RES-005")
def a_timeout_gives_nothing(patch: Patch) -> None:
    """A get() that has waited long enough returns None."""

    @patch("omruntime.client.result:AsyncResult.get")
    def get(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import ResultTimeout

        try:
            return wrapped(*args, **kwargs)
        except ResultTimeout:
            return None


@mutant("RES-006")
def fetched_results_go_with_the_client(patch: Patch) -> None:
    """What a client has fetched is deleted when it closes."""
    fetched: list[Any] = []

    @patch("omruntime.client.result:AsyncResult.get")
    def get(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        value = wrapped(*args, **kwargs)
        fetched.append(instance)
        return value

    @patch("omruntime.client.session:Session.close")
    def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        while fetched and not instance.closed:
            handle = fetched.pop()
            if handle._session is instance:
                handle.forget()
        return wrapped(*args, **kwargs)


@mutant("RES-007")
def expired_is_unknown(patch: Patch) -> None:
    """No tombstone is left of a task whose record is gone."""

    @patch("omruntime.ledger.ledger:Ledger.remove")
    def remove(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.abc import Group, Space

        wrapped(*args, **kwargs)
        instance.store.commit([Group(Space.LEDGER, deletes=[f"claim:{args[0]}:1"])])


@mutant("RES-007")
def an_unknown_id_is_pending(patch: Patch) -> None:
    """An id that was never issued reads PENDING, like a task that is queued."""

    @patch("omruntime.client.finding:found_by_id")
    def found_by_id(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.client.result import AsyncResult
        from omruntime.errors import UnknownTask

        try:
            return wrapped(*args, **kwargs)
        except UnknownTask:
            return AsyncResult(*args)

    @patch("omruntime.ledger.ledger:Ledger.state")
    def read(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.errors import UnknownTask
        from omruntime.ledger import TaskState

        try:
            return wrapped(*args, **kwargs)
        except UnknownTask:
            return TaskState("PENDING", 1, None, None, None)


@mutant("RES-008")
def a_pickled_handle_forgets_its_store(patch: Patch) -> None:
    """A handle from another process looks into the store that is configured here."""

    @patch("omruntime.client.attach:attached_session")
    def attached_session(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.config import store_url

        return wrapped(store_url(None))


@mutant("RES-009")
def awaiting_blocks(patch: Patch) -> None:
    """Whoever awaits a handle waits in the event loop's own thread."""

    @patch("omruntime.client.result:AsyncResult._awaited")
    def awaited(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        async def blocked() -> Any:
            return instance.get()

        return blocked()


@mutant("RES-009")
def a_cancelled_awaiter_cancels_the_task(patch: Patch) -> None:
    """The task is cancelled with the coroutine that awaits it."""

    @patch("omruntime.client.result:AsyncResult._awaited")
    def awaited(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        import asyncio

        async def shared() -> Any:
            try:
                return await wrapped()
            except asyncio.CancelledError:
                instance.cancel()
                raise

        return shared()


@mutant("RES-010")
def detached_work_ends_with_its_client(patch: Patch) -> None:
    """The engine says that work goes on without its client, and revokes it when the client closes."""

    @patch.module("omruntime.local.backend")
    def claim(module: Any) -> None:
        from omruntime.abc import Capability

        module.LocalBackend.capabilities |= {Capability.DETACHED}

    @patch("omruntime.local.backend:LocalBackend.close")
    def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        instance.close_now()


@mutant("RES-011")
def standard_error_is_lost(patch: Patch) -> None:
    """Only what goes to the standard output is kept."""

    @patch("omruntime.worker.runner:serve")
    def serve(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        return wrapped(*args, **kwargs)


@mutant("RES-011")
def output_has_no_bounds(patch: Patch) -> None:
    """All that a task prints is kept, however much it is."""

    @patch.module("omruntime.worker.output")
    def widen(module: Any) -> None:
        module.HEAD_LIMIT = 1 << 40


@mutant("RES-012")
def only_success_is_called_back(patch: Patch) -> None:
    """The callback of a task that failed is never sent."""

    @patch("omruntime.canvas.conductor:Conductor.task_ended")
    def task_ended(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        succeeded = args[2]
        return wrapped(*args, **{**kwargs, "callback": kwargs.get("callback", True) and succeeded})


@mutant("RES-012")
def a_failure_calls_back_with_a_result(patch: Patch) -> None:
    """The callback of a task without a value is told None as its result."""

    @patch("omruntime.worker.upstream:_Reader.told")
    def told(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return {"result": None, **wrapped()}
