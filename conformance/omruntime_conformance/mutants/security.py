"""Wrong runtimes for the rules of security."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("SEC-001")
def buffers_are_not_checked(patch: Patch) -> None:
    """A worker checks who signed the head of a call, and takes whatever buffers come with it."""

    @patch("omruntime.wire.envelope:_check_parts")
    def check_parts(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> None:
        return


@mutant("SEC-001")
def calls_are_decoded_before_the_check(patch: Patch) -> None:
    """A worker unpickles the arguments of a call, and then looks who signed it."""

    @patch("omruntime.worker.host:Host.submit")
    def submit(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        import pickle

        for buffer in args[0][1:]:
            with suppress(Exception):
                pickle.loads(bytes(buffer))
        return wrapped(*args)


@mutant("SEC-002")
def tasks_see_the_key(patch: Patch) -> None:
    """The key of the client's environment is in that of its tasks."""

    @patch.module("omruntime.worker.process")
    def change(process: Any) -> None:
        process.KEY_VARIABLE = "OMRUNTIME_NO_SUCH_KEY"


@mutant("SEC-002")
def tasks_see_the_password_of_the_store(patch: Patch) -> None:
    """The URL of the store in the client's environment is in that of its tasks, as it is."""

    @patch.module("omruntime.worker.process")
    def change(process: Any) -> None:
        process.parted = lambda environment: (dict(environment), {})


@mutant("SEC-002")
def auth_shows_its_key(patch: Patch) -> None:
    """The repr of an Auth tells the key."""

    @patch("omruntime.auth:Auth.__repr__")
    def represent(_wrapped: Any, instance: Any, _args: Any, _kwargs: Any) -> Any:
        return f"Auth(user={instance.user!r}, key={instance.secret()!r})"


@mutant("SEC-002")
def passwords_are_shown(patch: Patch) -> None:
    """URLs are shown as they are, with their passwords."""

    @patch("omruntime.masking:mask")
    def mask(_wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        return args[0]


@mutant("SEC-003")
def outcomes_are_not_checked(patch: Patch) -> None:
    """Whoever can open the store reads the outcome of a task, with another key or none."""

    @patch("omruntime.wire.outcomes:open_outcome")
    def open_outcome(_wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        import msgspec

        from omruntime.wire import OutcomeHeader

        return msgspec.msgpack.decode(args[0][0][52:], type=OutcomeHeader)


@mutant("SEC-003")
def refusals_end_the_task(patch: Patch) -> None:
    """A call that is refused ends the task whose id it bears."""

    @patch("omruntime.local.backend:LocalBackend.submit")
    def submit(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.errors import ResultExpired, SignatureError, UnknownTask
        from omruntime.wire import end_of

        [call], future, host = args, wrapped(*args), instance._host
        error = future.exception() if future.done() else None
        if not isinstance(error, SignatureError):
            return future
        for site in host.sites.all():
            with suppress(UnknownTask, ResultExpired):
                state = site.ledger.state(call.id)
                end = end_of(call.id, state, error, site.store, host.auth)
                site.ledger.close_task(call.id, state.attempt, end)
        return future


@mutant("SEC-004")
def stored_pickles_are_not_checked(patch: Patch) -> None:
    """A stored pickle is loaded as it is."""

    @patch("omruntime.store.content:Content._checked")
    def checked(_wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        return instance._store.read_blob(args[0])


@mutant("SEC-004")
def nobody_looks_who_signed_a_pickle(patch: Patch) -> None:
    """A stored pickle is loaded whoever has put it, when its content is what was put."""

    @patch("omruntime.store.content:Content._checked")
    def checked(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.errors import SignatureError

        try:
            return wrapped(*args)
        except SignatureError as exc:
            if "altered; put" in str(exc):
                raise
            return instance._store.read_blob(args[0])
