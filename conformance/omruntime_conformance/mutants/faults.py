"""Wrong runtimes for the rules of faults: what is lost, done twice or told wrongly when something breaks."""

# What a mutant changes is often private.

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant

_ATTEMPTS = "omruntime.worker.attempts:Attempts"
_DELIVERY = "omruntime.worker.delivery:Delivery"
_RUN = "omruntime.worker.actions.scripts:_run_function"


@mutant("FLT-001")
def lost_is_lost(patch: Patch) -> None:
    """A task whose worker is killed has failed, and does not run again."""

    @patch(f"{_DELIVERY}.may_retry_loss")
    def may_retry(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return False


@mutant("FLT-001")
def another_attempt_has_no_arguments(patch: Patch) -> None:
    """A task that runs again is not given its arguments again."""

    @patch(_RUN)
    def run(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        context, record, given, *rest = args
        return wrapped(context, record, given if context.attempt == 1 else (), *rest)


@mutant("FLT-002")
def one_attempt_too_many(patch: Patch) -> None:
    """A task that loses its worker every time is started once more than it may be."""

    @patch(f"{_DELIVERY}.may_retry_loss")
    def may_retry(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        from omruntime.ledger import lost_budget

        return wrapped() or instance.attempt == lost_budget(instance.header.retries)


@mutant("FLT-002")
def what_waits_dies_with_the_worker(patch: Patch) -> None:
    """With a worker that is killed a task is lost that was waiting for it."""

    @patch(f"{_ATTEMPTS}.runner_died")
    def died(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.worker import endings

        slot, exit, logs = args
        waiting = instance._dispatcher.next_for(slot)
        if waiting is not None:
            end = endings.lost(waiting, exit, instance._auth, slot.name, logs)
            instance._after(waiting, end, instance._insist(waiting, end))
        return wrapped(*args)


@mutant("FLT-003")
def another_attempt_is_made_twice(patch: Patch) -> None:
    """A task that runs again does so two times."""

    @patch(_RUN)
    def run(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        if args[0].attempt > 1:
            wrapped(*args)
        return wrapped(*args)


@mutant("FLT-004")
def a_restarted_broker_has_forgotten_what_waited(patch: Patch) -> None:
    """The broker loses what waits for a worker when it is killed: its tasks fail."""
    dispatchers: list[Any] = []

    @patch("omruntime.worker.dispatch:Dispatcher.__init__")
    def init(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        dispatchers.append(instance)
        return wrapped(*args, **kwargs)

    def restart(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        for each in dispatchers:
            _forget_what_waits(each)
        return wrapped(*args, **kwargs)

    def init_subclass(cls: Any) -> None:
        if "restart_broker" in vars(cls):
            wrapt.wrap_function_wrapper(cls, "restart_broker", restart)

    # The embedded engine has no broker: what happens to it is what the harness does.
    import wrapt

    from omruntime_conformance.harness import Harness

    Harness.__init_subclass__ = classmethod(init_subclass)  # type: ignore[assignment, method-assign]


def _forget_what_waits(dispatcher: Any) -> None:
    from omruntime.errors import BackendUnavailable

    for delivery in dispatcher.open_deliveries():
        if delivery.queued:
            dispatcher.unqueue(delivery.task)
            dispatcher.refuse(delivery, BackendUnavailable(f"the broker knows nothing of task {delivery.task}"))


@mutant("FLT-005")
def a_late_delivery_runs_again(patch: Patch) -> None:
    """A task that has ended runs once more when it is delivered once more."""

    @patch("omruntime.ledger.ledger:Ledger.claim")
    def claim(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.ledger import Granted

        answer = wrapped(*args, **kwargs)
        return Granted(1) if getattr(getattr(answer, "end", None), "state", "") == "SUCCESS" else answer


@mutant("FLT-005")
def a_second_delivery_runs_beside_the_first(patch: Patch) -> None:
    """A task that runs is started once more when it is delivered once more."""

    @patch("omruntime.ledger.ledger:Ledger.claim")
    def claim(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.ledger import Granted, Refused

        answer = wrapped(*args, **kwargs)
        return Granted(kwargs["first"]) if isinstance(answer, Refused) and answer.end is None else answer


@mutant("FLT-006")
def steps_are_recorded_one_by_one(patch: Patch) -> None:
    """A canvas is recorded before its steps, and these one after the other."""

    @patch("omruntime.canvas.records:CanvasRecords.commit")
    def commit(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        canvas, plan, requests = args
        wrapped(canvas, plan, requests[:1])
        for each in requests[1:]:
            instance.ledger.submit([each])


@mutant("FLT-007")
def what_cannot_be_written_is_dropped(patch: Patch) -> None:
    """An outcome that the store does not take within half a second is taken for written."""

    @patch.module("omruntime.store.sqlite.database")
    def hurry(module: Any) -> None:
        module._BUSY_SECONDS = 0.5

    @patch(f"{_ATTEMPTS}._patiently")
    def write(_wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.errors import StoreUnavailable

        try:
            return args[0]()
        except StoreUnavailable:
            return True


@mutant("FLT-008")
def the_last_word_counts(patch: Patch) -> None:
    """A worker that wakes up after its task was given to another one overwrites what that one has made of it."""

    @patch(f"{_ATTEMPTS}._lose")
    def lose(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        slot, delivery, exit, *_ = args
        slot.sleeps_on = delivery if exit is None else None
        return wrapped(*args)

    @patch("omruntime.worker.slot:Slot.condemn")
    def condemn(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return None if instance.stopped_since is not None else wrapped(*args, **kwargs)

    @patch(f"{_ATTEMPTS}.finish")
    def finish(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        slot, data, outcome = args
        if slot.delivery is None and (delivery := getattr(slot, "sleeps_on", None)) is not None:
            _overwrite(delivery, data["status"], slot.name, outcome)
        return wrapped(*args)


def _overwrite(delivery: Any, state: str, worker: str, outcome: bytes) -> None:
    from omruntime.abc import Group, Space
    from omruntime.ledger.facts import encode, end_key
    from omruntime.worker.endings import ended

    key = end_key(delivery.task, 1)
    store = delivery.site.store
    store.commit([Group(Space.LEDGER, deletes=[key])])
    store.commit([Group(Space.LEDGER, {key: encode(ended(delivery, state, worker, outcome))})])


@mutant("FLT-009")
def last_words_are_lost(patch: Patch) -> None:
    """WorkerLost does not tell what the worker has printed."""

    @patch("omruntime.worker.endings:lost")
    def lost(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        delivery, exit, auth, worker, _, *why = args
        return wrapped(delivery, exit, auth, worker, "", *why)


@mutant("FLT-009")
def want_of_memory_kills_the_worker(patch: Patch) -> None:
    """A task that asks for more memory than there is takes its worker along."""

    @patch(_RUN)
    def run(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        import os
        import signal

        try:
            return wrapped(*args)
        except MemoryError:
            os.kill(os.getpid(), signal.SIGKILL)


@mutant("FLT-010")
def lost_content_counts_as_expired(patch: Patch) -> None:
    """A value whose content cannot be read reads as one that was forgotten."""

    @patch("omruntime.client.result:AsyncResult._unreadable")
    def unreadable(wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        from omruntime.errors import ResultExpired

        return ResultExpired(f"the value of task {instance.id} was forgotten or has expired; run it again")
