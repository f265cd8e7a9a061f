"""Wrong runtimes for the rules of opening and closing."""

from __future__ import annotations

from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("LIF-001")
def the_old_runtime_does_not_drain(patch: Patch) -> None:
    """The runtime that another one replaces revokes what it runs."""

    @patch("omruntime.client.engine:Engine.remove_owner")
    def remove_owner(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **{**kwargs, "wait": kwargs["wait"] and not kwargs.get("background")})


@mutant("LIF-001")
def new_work_stays_with_the_old(patch: Patch) -> None:
    """A runtime that is assigned where there is one changes nothing."""

    @patch("omruntime.client.session:Session.adopt")
    def adopt(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs) if instance._runtime is None else None


@mutant("LIF-002")
def temporary_files_stay(patch: Patch) -> None:
    """The working directories of the workers are left behind."""

    @patch("omruntime.worker.host:remove_scratch")
    def remove_scratch(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return None


@mutant("LIF-002")
def a_thread_stays(patch: Patch) -> None:
    """The thread that looks after other people's tasks goes on."""

    @patch("omruntime.worker.keeper:Keeper.stop")
    def stop(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return None if instance._thread.name.endswith("-steward") else wrapped()


@mutant("LIF-002")
def closing_twice_is_an_error(patch: Patch) -> None:
    """A second close() raises."""

    @patch("omruntime.client.omega:Omega.close")
    def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if instance._is_owner:
            instance.session.check_open()
        return wrapped(*args, **kwargs)


@mutant("LIF-003")
def closing_one_closes_all(patch: Patch) -> None:
    """An Omega that closes takes every open engine of its process with it."""

    @patch("omruntime.client.session:Session.close")
    def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.client import engine

        wrapped(*args, **kwargs)
        for each in list(engine._open):
            each.close(wait=False)


@mutant("LIF-003")
def one_engine_for_all(patch: Patch) -> None:
    """All local runtimes of a process share the workers of the first."""
    shared: list[Any] = []

    @patch("omruntime.local.backend:LocalBackend.open")
    def open_(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        alive = [backend for backend in shared if not backend._host._dispatcher.closed]
        shared[:] = alive or [wrapped(*args, **kwargs)]
        return shared[0]


@mutant("LIF-004")
def close_waits_for_nobody(patch: Patch) -> None:
    """close() revokes what is open."""

    @patch("omruntime.local.backend:LocalBackend.close")
    def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        instance.close_now()


@mutant("LIF-004")
def abandoned_tasks_are_lost(patch: Patch) -> None:
    """What close(wait=False) leaves undone ends as if the workers had died."""

    @patch("omruntime.worker.attempts:Attempts._revoke")
    def revoke(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return None


@mutant("LIF-004")
def orphans_stay_open(patch: Patch) -> None:
    """The tasks of a client that was killed never end."""

    @patch("omruntime.ledger.steward:Steward.attend")
    def attend(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return None if args[1].runtime else wrapped(*args, **kwargs)
