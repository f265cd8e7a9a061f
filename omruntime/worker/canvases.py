"""The canvases of a host: each store's conductor, and the futures of those who wait for the end of a whole canvas."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError

from omruntime.abc import Call
from omruntime.auth import Auth
from omruntime.canvas import Conductor
from omruntime.errors import OmegaRuntimeError, RuntimeClosed, StoreUnavailable
from omruntime.ledger import End, Request
from omruntime.worker.delivery import Delivery
from omruntime.worker.sites import Site

__all__ = ["Canvases"]

_log = logging.getLogger("omruntime.worker")


class Canvases:
    """What one host does to bring canvases forward.

    Args:
        auth: keys that sign the ends of steps that never run.
        send: sends a call to the engine.
        tied: what is not sent when this host is closed is not sent any more.
        incarnation: names the engine's present life.
        tell: tells a mailbox of the end of a canvas.
    """

    def __init__(
        self,
        auth: Auth,
        send: Callable[[Call], object],
        *,
        tied: bool,
        incarnation: Callable[[], str],
        tell: Callable[[str, str, bytes], None],
    ) -> None:
        self._auth, self._incarnation, self._tell = auth, incarnation, tell
        self._send = send
        self._tied = tied
        self._lock = threading.Lock()
        self._conductors: dict[int, Conductor] = {}
        self._waiting: dict[str, Future[bytes]] = {}
        self._closed = False

    def conductor(self, site: Site) -> Conductor:
        """Return the conductor of a store."""
        with self._lock:
            if id(site) not in self._conductors:
                self._conductors[id(site)] = Conductor(
                    site.ledger, self._auth, self._send_all, self._ended, self._incarnation
                )
            return self._conductors[id(site)]

    def _send_all(self, tasks: Sequence[tuple[str, Request]]) -> None:
        for task, request in tasks:
            self._send(Call(id=task, name=request.name, label=request.label, payload=tuple(request.payload)))

    def follow(self, delivery: Delivery, end: End, again: bool) -> bool:
        """Do what follows from the end of a delivery's task; False when a steward has to do it.

        Raises:
            StoreUnavailable: it has to be done again, when the store is back.
        """
        header = delivery.header
        if header.canvas or header.callback:
            return self._follow(delivery.site, delivery.task, header.canvas, end, again, header.callback)
        return True

    def follow_for_steward(self, site: Site) -> Callable[[str, Request, End], bool]:
        """Return what a steward calls for a task whose writer did not live to do what follows."""
        return lambda task, request, end: self._follow(site, task, request.canvas, end, True)

    def _follow(self, site: Site, task: str, canvas: str, end: End, again: bool, callback: bool = True) -> bool:
        conductor, succeeded = self.conductor(site), end.state == "SUCCESS"
        try:
            conductor.task_ended(task, canvas, succeeded, again=again, callback=callback)
        except StoreUnavailable:
            raise
        except RuntimeClosed:
            if not self._tied:
                return False
            self._revoke(site, canvas, "was revoked: its runtime was closed before its turn came")
        except OmegaRuntimeError:
            # What is left undone a steward does: the request of this task tells it.
            _log.exception("what follows from the end of task %s could not be done", task)
            return False
        return True

    def watched(self, canvas: str) -> list[Future[bytes]]:
        """Return the future of a canvas that was submitted here and is not over, if it is one."""
        with self._lock:
            return [self._waiting[canvas]] if canvas in self._waiting else []

    def watch(self, canvas: str, site: Site) -> Future[bytes]:
        """Return a future of a canvas' packed outcome; empty bytes mean that the ledger alone can tell."""
        future: Future[bytes] = Future()
        if self._tied:
            self.conductor(site).keep(canvas)
        with self._lock:
            if self._closed:
                future.set_result(b"")
            else:
                self._waiting[canvas] = future
        return future

    def _ended(self, canvas: str, outcome: bytes, mailbox: str = "") -> None:
        with self._lock:
            future = self._waiting.pop(canvas, None)
        if future is not None:
            _resolve(future, outcome)
        elif mailbox:
            self._tell(mailbox, canvas, outcome)

    def cancelled(self, canvas: str) -> None:
        """Have those who wait for a canvas read the ledger: somebody else has ended it."""
        self._ended(canvas, b"")

    def revoke(self, deliveries: Sequence[Delivery], why: str) -> None:
        """End the canvases of deliveries that are not to go on."""
        for site, canvas in {(each.site, each.header.canvas) for each in deliveries if each.header.canvas}:
            self._revoke(site, canvas, why)

    def _revoke(self, site: Site, canvas: str, why: str) -> None:
        try:
            self.conductor(site).cancel(canvas, why)
        except OmegaRuntimeError:
            # It ends with the lease of this host.
            return

    def close(self) -> None:
        """Wait for nothing any more."""
        with self._lock:
            waiting, self._waiting, self._closed = list(self._waiting.values()), {}, True
        for future in waiting:
            _resolve(future, b"")


def _resolve(future: Future[bytes], outcome: bytes) -> None:
    try:
        future.set_result(outcome)
    except InvalidStateError:
        # Whoever holds it has cancelled it.
        return
