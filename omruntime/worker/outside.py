"""What a host has of its engine beside itself: whom it sends on to, asks, and tells who works here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from omruntime.abc import Backend, Call, WorkerInfo, label_set, pack_answer, unpack_call
from omruntime.errors import NoSuchLabel, OmegaRuntimeError, RuntimeClosed
from omruntime.masking import mask_text
from omruntime.wire import peek_outcome
from omruntime.worker.crew import Crew

__all__ = ["Outside", "deliver", "refused", "status_of"]

_log = logging.getLogger("omruntime.worker")


class Outside:
    """The engine of one host, as it is open in the host's process.

    Args:
        backend: the engine; None for a host that is all of its engine.
        address: its address, where there is no backend.
        tied: everything stays in this host, and is told to the engine only.
        workers: lists the workers of this host.

    Attributes:
        address: the engine's address.
        forward: sends a call on; None where everything stays in this host.
        incarnation: names the engine's present life.
        queued: tells how many calls wait in the engine; None where everything stays in this host.
    """

    def __init__(
        self, backend: Backend | None, address: str, tied: bool, workers: Callable[[], list[WorkerInfo]]
    ) -> None:
        self.address = address or (backend.address if backend is not None else "")
        self.forward: Callable[[Call], object] | None = backend.forward if backend and not tied else None
        self.incarnation: Callable[[], str] = backend.incarnation if backend is not None else str
        self.queued: Callable[[str], int | None] | None = backend.queued if backend and not tied else None
        self._backend, self._workers = backend, workers
        self._lock = threading.Lock()
        self._told: list[WorkerInfo] = []

    def tell(self) -> None:
        """Tell the engine who works here, if that is not what it was told last; it is told again where that fails."""
        if self._backend is None:
            return
        with self._lock:
            workers = self._workers()
            if workers == self._told:
                return
            try:
                self._backend.announce(workers)
                self._told = workers
            except OmegaRuntimeError:
                _log.exception("the engine at %s could not be told who works for it", self.address)

    def tell_of(self, mailbox: str, canvas: str, outcome: bytes) -> None:
        """Tell a mailbox of the end of a canvas; who waits there looks into the ledger where that fails."""
        try:
            if self._backend is not None:
                self._backend.tell(mailbox, canvas, outcome)
        except OmegaRuntimeError:
            _log.exception("the end of canvas %s could not be told to those who wait for it", canvas)

    def everybody(self) -> list[WorkerInfo]:
        """List the workers of the engine; those of this host where the engine does not answer."""
        try:
            return self._backend.workers() if self._backend is not None else self._workers()
        except OmegaRuntimeError:
            _log.exception("the engine at %s does not say who works for it", self.address)
            return self._workers()

    def cancel(self, task: str) -> None:
        """Have the engine stop a task that another host runs; without that it finds out itself, a little later."""
        try:
            if self._backend is not None and self.forward is not None:
                self._backend.cancel(task)
        except OmegaRuntimeError:
            _log.exception("the engine at %s could not be told to cancel task %s", self.address, task)

    def check_label(self, label: str, crew: Crew) -> None:
        """Refuse a call that the engine should have brought to others: they can still take it.

        Raises:
            NoSuchLabel: no slot of this host has the label.
        """
        if self.forward is None or crew.has(label_set(label)):
            return
        there = "; ".join(sorted({",".join(sorted(slot.labels)) for slot in crew.slots}))
        raise NoSuchLabel(
            f"the engine at {self.address} brought a call for the label {label!r} to a worker that has {there}; "
            "it must bring calls to workers of their labels only"
        )


def refused(error: OmegaRuntimeError) -> Future[bytes]:
    """Return the future of a call that was refused."""
    future: Future[bytes] = Future()
    future.set_exception(error)
    return future


def status_of(done: Future[bytes]) -> str:
    """Return how a call that a host was given has ended: SUCCESS, FAILURE, REVOKED; REFUSED; or empty.

    Empty means that this host has not run it, since another delivery of it was faster.
    """
    if done.exception() is not None:
        return "REFUSED"
    return peek_outcome(done.result()).status if done.result() else ""


def deliver(submit: Callable[[Call], Future[bytes]], packed: bytes, answer: Callable[[bytes], None]) -> Future[bytes]:
    """Submit a packed call, and give its packed answer; none where the host was closed before it could begin."""

    def pass_on(done: Future[bytes]) -> None:
        if not isinstance(done.exception(), RuntimeClosed):
            answer(pack_answer(done))

    try:
        future = submit(unpack_call(packed))
    except OmegaRuntimeError as exc:
        future = refused(exc)
    if future.done() and (refusal := future.exception()) is not None:
        why = mask_text(str(refusal))
        _log.warning("a call was refused, and changes nothing: %s: %s", type(refusal).__name__, why)
    future.add_done_callback(pass_on)
    return future
