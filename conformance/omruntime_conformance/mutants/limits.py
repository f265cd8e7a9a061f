"""Wrong runtimes for the rules of cancelling and of limits of time."""

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("CXL-001")
def cancelled_tasks_stay_in_the_queue(patch: Patch) -> None:
    """A queued task that is cancelled reads REVOKED, and runs all the same when its turn comes."""

    @patch("omruntime.ledger.ledger:Ledger.close_task")
    def close_task(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.abc import Group, Space

        state, won = wrapped(*args, **kwargs)
        if won and state.claim is None:
            instance.store.commit([Group(Space.LEDGER, deletes=[f"claim:{args[0]}:{state.attempt}"])])
        return state, won

    @patch("omruntime.local.backend:LocalBackend.cancel")
    def cancel(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return False


@mutant("CXL-001")
def cancelled_tasks_read_as_failed(patch: Patch) -> None:
    """A task that is cancelled before it starts ends as FAILURE."""

    @patch("omruntime.client.result:end_of")
    def end_of(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        claimed = args[1].claim is not None
        return wrapped(*args, **({**kwargs, "status": "REVOKED" if claimed else "FAILURE"}))


@mutant("CXL-002")
def children_live_on(patch: Patch) -> None:
    """Stopping a task stops its own process, and none that it has started."""

    @patch("omruntime.worker.process:RunnerProcess.signal")
    def signal(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if instance._process.returncode is None:
            instance._process.send_signal(args[0])


@mutant("CXL-002")
def a_cancelled_task_is_asked_to_stop(patch: Patch) -> None:
    """A running task that is cancelled gets SIGTERM, and nothing more."""

    @patch("omruntime.worker.attempts:Attempts.withdraw")
    def withdraw(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return _with_a_gentle(args[0], lambda: wrapped(*args, **kwargs))


@mutant("CXL-003")
def a_task_over_its_limit_is_asked_to_stop(patch: Patch) -> None:
    """A task whose time is over gets SIGTERM, and nothing more."""

    @patch("omruntime.worker.attempts:Attempts.time_out")
    def time_out(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return _with_a_gentle(args[0], lambda: wrapped(*args, **kwargs))


def _with_a_gentle(slot: Any, act: Any) -> Any:
    """Do something with a slot that stops its runner politely and never otherwise."""
    import signal

    slot.condemn = lambda grace=0.0: slot.process.signal(signal.SIGTERM)
    try:
        return act()
    finally:
        del slot.condemn


@mutant("CXL-003")
def the_limit_counts_from_the_call(patch: Patch) -> None:
    """What a task has waited for its worker counts as its run time."""

    @patch("omruntime.worker.dispatch:Dispatcher.launch")
    def launch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        import time

        slot, delivery = args[:2]
        wrapped(*args, **kwargs)
        if delivery.deadline is not None:
            delivery.deadline -= time.time() - delivery.header.submitted
            instance._keeper.at(delivery.deadline, lambda: instance.attempts.time_out(slot, delivery))
