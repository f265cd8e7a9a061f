"""Handles of tasks: status, value, logs, cancel; alive in the process that submitted, or found by id anywhere."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

from omruntime.abc import Capability
from omruntime.canvas import Conductor
from omruntime.client.inspection import missing_label
from omruntime.client.waiting import Waiting
from omruntime.errors import (
    NoSuchLabelWarning,
    OmegaRuntimeError,
    RemoteTraceback,
    ResultExpired,
    SignatureError,
    StoreUnavailable,
    TaskRevoked,
)
from omruntime.ledger import Ledger, TaskState
from omruntime.pictures import Picture, Pictured
from omruntime.store import BINDER, Metadata, ObjectStore
from omruntime.wire import end_of, outcome_size, read_outcome

if TYPE_CHECKING:
    from omruntime.client.runtime import OmegaRuntime
    from omruntime.client.session import Session

__all__ = ["AsyncResult"]


class AsyncResult(Pictured):
    """The handle of one task.

    Handles of the same task are equal; a handle pickles to the task's id and the store's URL, and works in any
    process that can open the store.

    Attributes:
        id: id of the task, also as ``task_id``.
    """

    def __init__(
        self, id: str, session: Session, runtime: OmegaRuntime | None, pushed: Future[bytes] | None = None
    ) -> None:
        self.id = id
        self._session = session
        self._runtime = runtime
        self._waiting = Waiting(id, session, pushed)
        self._warned = False

    # -- state ---------------------------------------------------------------------------------------------------

    @property
    def task_id(self) -> str:
        """Id of the task."""
        return self.id

    @property
    def ledger(self) -> Ledger:
        """The ledger that knows of the task."""
        return self._session.ledger

    @property
    def status(self) -> str:
        """PENDING, STARTED, SUCCESS, FAILURE or REVOKED, as the ledger says at this moment.

        Raises:
            ResultExpired: the record was forgotten or has expired.
        """
        return self._state().status

    state = status

    def _state(self) -> TaskState:
        state = self._session.ledger.state(self.id)
        if state.end is None and not self._waiting.live:
            self._session.watcher.attend(self.id, state)
            state = self._session.ledger.state(self.id)
        return state

    def ready(self) -> bool:
        """Tell whether the task is over."""
        return self._state().end is not None

    def successful(self) -> bool:
        """Tell whether the task is over and has succeeded."""
        return self.status == "SUCCESS"

    def failed(self) -> bool:
        """Tell whether the task is over and has failed."""
        return self.status == "FAILURE"

    @property
    def result(self) -> Any:
        """The value, or the exception, of a task that is over; None before; never blocks."""
        packed = self._waiting.read_off() if self.ready() else None
        return self.read(packed)[1] if packed is not None else None

    @property
    def traceback(self) -> str | None:
        """The traceback where the task failed, as text; None when it did not."""
        error: BaseException | None = self.result if self.failed() else None
        while error is not None and not isinstance(error, RemoteTraceback):
            error = error.__cause__
        return error.text if error is not None else None

    def logs(self) -> str:
        """Return what the task printed, the middle of a very long output left out; complete when the task is over."""
        self._state()
        return self._session.ledger.logs([self.id])

    # -- value ---------------------------------------------------------------------------------------------------

    def get(self, timeout: float | None = None) -> Any:
        """Wait for the task and return its value, a fresh copy each time.

        Args:
            timeout: seconds to wait at the most; the task goes on when they are over.

        Raises:
            ResultTimeout: it is not over yet.
            ResultExpired: its record was forgotten or has expired.
            StoreUnavailable: its record is there, but the content of its value cannot be read.
            UnsupportedCapability: a task waits for a task, and the engine cannot do that.
            Exception: the task's own exception, with its remote traceback as the cause.
        """
        packed = self._waiting.known()
        if packed is None:
            with self._during_wait():
                packed = self._waiting.wait(timeout, self._warn_of_missing_label)
        try:
            status, value = self.read(packed)
        except SignatureError:
            if not self._waiting.distrust():
                raise
            return self.get(timeout)
        if status == "SUCCESS":
            return value
        raise value

    def _during_wait(self) -> AbstractContextManager[None]:
        runtime = self._runtime or self._session.present_runtime
        return runtime.during_wait(self.id, self._waiting.hear) if runtime is not None else nullcontext()

    def _warn_of_missing_label(self) -> None:
        if self._warned or self._runtime is None:
            return
        self._warned = True
        text = missing_label(self._session.ledger, self.id, self._runtime)
        if text:
            warnings.warn(text, NoSuchLabelWarning, stacklevel=4)

    def read(self, packed: bytes) -> tuple[str, Any]:
        """Return the status and a fresh copy of the value, or of the exception, that a packed outcome holds."""
        token = BINDER.set(self._bind)
        try:
            return read_outcome(packed, task=self.id, store=self._session.store, auth=self._session.auth)
        except FileNotFoundError as exc:
            raise self._unreadable(exc) from exc
        finally:
            BINDER.reset(token)

    def _unreadable(self, lost: FileNotFoundError) -> OmegaRuntimeError:
        """Return what to raise when the content of the outcome is not in the store."""
        try:
            self._session.ledger.state(self.id)
        except ResultExpired:
            return ResultExpired(f"the value of task {self.id} was forgotten or has expired; run it again")
        return StoreUnavailable(
            f"task {self.id} is over and its record is there, but the content of its value is gone from the store "
            f"({lost}): restore it, or run the task again"
        )

    def _bind(self, meta: Metadata) -> None:
        session = self._session
        ObjectStore(session.store, meta.prefix, bucket=meta.bucket, auth=session.auth).bind(meta)

    def future(self) -> Future[Any]:
        """Return a `concurrent.futures.Future` of the value; cancelling it leaves the task alone."""
        waits = ExitStack()
        waits.enter_context(self._during_wait())
        answer: Future[Any] = Future()
        answer.add_done_callback(lambda _: waits.close())

        def pass_on(done: Future[bytes]) -> None:
            if answer.cancelled():
                return
            if done.exception() is None and not done.result():
                self._waiting.go_by_the_ledger()
                self._waiting.watch().add_done_callback(pass_on)
                return
            try:
                status, value = self.read(done.result())
            except SignatureError as exc:
                if self._waiting.distrust():
                    self._waiting.watch().add_done_callback(pass_on)
                    return
                status, value = "", exc
            except Exception as exc:  # noqa: BLE001 - whatever loading the value raises is the answer
                status, value = "", exc
            if not answer.set_running_or_notify_cancel():
                return
            if status == "SUCCESS":
                answer.set_result(value)
            else:
                answer.set_exception(value)

        self._waiting.watch().add_done_callback(pass_on)
        return answer

    def __await__(self) -> Generator[Any, None, Any]:
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        packed = self._waiting.known()
        with self._during_wait() if packed is None else nullcontext():
            while not packed:
                packed = await asyncio.shield(asyncio.wrap_future(self._waiting.watch()))
                if not packed:
                    self._waiting.go_by_the_ledger()
        try:
            status, value = await asyncio.to_thread(self.read, packed)
        except SignatureError:
            if not self._waiting.distrust():
                raise
            return await self._awaited()
        if status == "SUCCESS":
            return value
        raise value

    # -- control -------------------------------------------------------------------------------------------------

    def cancel(self) -> bool:
        """Cancel the task: a queued one never starts, a running one is stopped; False when it is over already.

        Raises:
            UnsupportedCapability: it runs, and the engine cannot stop a running task.
        """
        state = self._state()
        if state.end is not None:
            return False
        if state.runs and self._runtime is not None:
            self._runtime.engine.need(Capability.CANCEL_RUNNING, "cancelling a running task")
        error = TaskRevoked(f"{state.name} (task {self.id}) was cancelled", task=self.id)
        session = self._session
        end = end_of(self.id, state, error, session.store, session.auth, status="REVOKED")
        before, won = session.ledger.close_task(self.id, state.attempt, end)
        if won and self._runtime is not None and self._runtime.engine.is_open:
            self._runtime.engine.backend.cancel(self.id)
            send = self._runtime.engine.sender_for(state.request)
            Conductor(session.ledger, session.auth, send).call_back([self.id])
        return won and before.end is None

    revoke = cancel

    def forget(self) -> bool:
        """Delete the record and the value of a task that is over; False while it is not."""
        done = self._session.ledger.forget(self.id)
        if done:
            self._waiting.go_by_the_ledger()
        return done

    # -- pictures ------------------------------------------------------------------------------------------------

    def _picture(self) -> Picture:
        from omruntime.client.portrait import task_picture

        state = self._state()
        packed = state.end.outcome if state.end is not None else b""
        size = outcome_size(packed, self._session.auth) if packed else 0
        return task_picture(self.id, state, size, lambda: self.read(packed)[1])

    # -- identity ------------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.id, self._session.store.url)


def _restore(id: str, url: str) -> AsyncResult:
    from omruntime.client.attach import attached_session

    return AsyncResult(id, attached_session(url), None)
