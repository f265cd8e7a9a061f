"""Celery's worker as a host: it takes our messages off the queues and hands the calls in them to a `Host`.

The pool of Celery is not used. A call is acknowledged when it is over, or after a minute: until then it counts
against the worker's prefetch count, which is what it runs and what it has room for. So it takes no call that would
have to wait here.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.worker import state
from celery.worker.request import Request

from omruntime.abc import WorkerHost
from omruntime.errors import OmegaRuntimeError
from omruntime.ledger import lease_period
from omruntime.masking import mask_text
from omruntime.worker import Host, status_of
from omruntime_celery.bell import Bell
from omruntime_celery.broker import CONTENT, LAST
from omruntime_celery.errors import ERRORS
from omruntime_celery.mailbox import is_mailbox
from omruntime_celery.messages import request_of, what_is_foreign
from omruntime_celery.orders import decode_order

if TYPE_CHECKING:
    from omruntime_celery.backend import CeleryBackend

__all__ = ["Station"]

_log = logging.getLogger("omruntime.celery")
_LONGEST_UNACKNOWLEDGED = 60.0
"""Seconds after which a call is acknowledged though it runs: RabbitMQ gives up a channel after half an hour."""
_LOOK = 0.05
_EVENTS = {"SUCCESS": "task-succeeded", "REVOKED": "task-revoked", "REFUSED": "task-rejected"}


class Station:
    """What is between Celery's consumer and a host, in the thread of Celery's event loop.

    Args:
        backend: the engine, as it is open in this process.
        host: takes the calls.
        stop: ends the worker when it is set.

    Attributes:
        labels: those that all its slots have, together.
    """

    def __init__(self, backend: CeleryBackend, host: WorkerHost, stop: threading.Event | None = None) -> None:
        self.backend, self.host, self._stop = backend, host, stop
        self._held: dict[Any, tuple[Request, float]] = {}
        self._over: deque[tuple[Any, Future[bytes]]] = deque()
        self._paused = False
        self._bell = Bell()
        self._ending = False
        self._consumer: Any = None
        workers = host.workers() if isinstance(host, Host) else []
        self.labels = frozenset(label for worker in workers for label in worker.labels)
        self._all_labels = ",".join(sorted(self.labels))
        host.on_freed(self._bell.ring)

    # -- in Celery's event loop ----------------------------------------------------------------------------------

    def attach(self, consumer: Any) -> None:
        """Begin to work for a connection: what the one before has brought is the ledger's now."""
        self._consumer, self._paused = consumer, False
        channel = consumer.task_consumer.channel
        if not getattr(channel, "ack_emulation", True):
            # kombu would send again what runs when the connection ends, and write it to a file if it cannot.
            channel.do_restore = False
        self._held.clear()
        self._adjust()

    def listen(self, hub: Any) -> None:
        """Have the event loop look at what other threads have done, and at the time."""
        hub.add_reader(self._bell.fileno(), self._look)
        hub.call_soon(self._begin)
        hub.timer.call_repeatedly(min(lease_period() / 3, 1.0), self._say)
        hub.timer.call_repeatedly(1.0, self._let_go)
        if self._stop is not None:
            hub.timer.call_repeatedly(_LOOK, self._end_when_told)

    def _begin(self) -> None:
        """Have everybody know of this worker: not before its loop runs, or it could not answer who asks."""
        try:
            self.backend.serve()
        except (OmegaRuntimeError, *ERRORS) as exc:
            _log.warning("it could not be said who works here: %s", mask_text(str(exc)))

    def _end_when_told(self) -> None:
        if self._stop is None or not self._stop.is_set() or self._ending:
            return
        self._ending = True
        if self.host.tied:
            try:
                self.backend.send_last()
            except (OmegaRuntimeError, *ERRORS):
                # The broker is gone, and with it what has been sent.
                state.should_stop = os.EX_OK
        else:
            state.should_stop = os.EX_OK

    def _say(self) -> None:
        try:
            self.backend.say_again()
        except (OmegaRuntimeError, *ERRORS) as exc:
            _log.warning("it could not be said who works here: %s", mask_text(str(exc)))

    def take(self, message: Any) -> None:
        """Hand a message's call to the host; one that is none of ours is refused, and nothing of it decoded."""
        try:
            if why := what_is_foreign(message):
                _log.warning("a message was refused, and nothing of it decoded: %s", why)
                self._acknowledge(message)
            else:
                self._take(message)
        except self._consumer.connection_errors:
            raise
        except Exception:  # noqa: BLE001
            # Whoever can write to the broker can write anything, and the worker has to live.
            _log.warning("a message could not be taken", exc_info=True)
            self._acknowledge(message)

    def _take(self, message: Any) -> None:
        headers = message.headers
        if self._ending and headers.get(LAST):
            self._acknowledge(message)
            state.should_stop = os.EX_OK
            return
        if not self.host.tied and self._is_for_us(headers.get("label", "")) and not self.host.room(self._all_labels):
            self._pause(message)
            return
        request = self._requested(message)
        self._held[message] = (request, time.monotonic())
        mailbox = message.properties.get("reply_to") or ""
        answer = partial(self.backend.answer, mailbox, request.id) if is_mailbox(mailbox) else _nobody
        future = self.host.deliver(message.body, answer)
        if self.host.tied:
            self._acknowledge(message)
        future.add_done_callback(partial(self._ended, message))
        if request.id in state.revoked:
            self.revoke(request.id)

    def _is_for_us(self, label: str) -> bool:
        """Tell whether this worker has the labels of a call: the host refuses others, whoever has put them here."""
        return {part.strip() for part in label.split(",")} <= self.labels

    def _requested(self, message: Any) -> Request:
        """Have Celery's own tools show the call."""
        request = request_of(message, self, self._consumer)
        state.task_reserved(request)
        state.task_accepted(request)
        self._tell("task-received", request, args="", kwargs="")
        self._tell("task-started", request)
        return request

    def _tell(self, kind: str, request: Request, **fields: Any) -> None:
        eventer = self._consumer.event_dispatcher
        if eventer is not None and eventer.enabled:
            eventer.send(kind, uuid=request.id, name=request.name, **fields)

    def _pause(self, message: Any) -> None:
        """Give a message back that would have to wait here, and take no more until there is room."""
        self._paused = True
        self._consumer.task_consumer.cancel()
        message.requeue()

    def _acknowledge(self, message: Any) -> None:
        if not message.acknowledged:
            message.ack_log_error(_log, self._consumer.connection_errors)

    def order(self, message: Any) -> None:
        """Do what a client has all workers do; what is no order is dropped."""
        try:
            order = decode_order(message.body) if message.content_type == CONTENT else None
        except (TypeError, ValueError):
            order = None
        if order is None:
            _log.warning("a message that is no order of omruntime was dropped")
        elif order.cancel:
            if isinstance(self.host, Host):
                self.host.cancel(order.cancel)
        else:
            self._say()

    # -- from other threads --------------------------------------------------------------------------------------

    def _ended(self, message: Any, done: Future[bytes]) -> None:
        self._over.append((message, done))
        self._bell.ring()

    # -- back in the event loop ----------------------------------------------------------------------------------

    def _look(self) -> None:
        self._bell.hear()
        while self._over:
            self._finish(*self._over.popleft())
        self._adjust()

    def _finish(self, message: Any, done: Future[bytes]) -> None:
        held = self._held.pop(message, None)
        if held is None:
            return
        request, since = held
        self._acknowledge(message)
        state.task_ready(request)
        status = status_of(done)
        kind = _EVENTS.get(status, "task-failed")
        self._tell(kind, request, runtime=time.monotonic() - since, result="", exception=status, traceback="")

    def _let_go(self) -> None:
        """Acknowledge what has run for a while: the ledger knows it, and brokers lose their patience."""
        now = time.monotonic()
        for message, (_, since) in list(self._held.items()):
            if now - since > _LONGEST_UNACKNOWLEDGED:
                self._acknowledge(message)
        self._adjust()

    def _adjust(self) -> None:
        """Have the broker bring as many calls as there is room for, beside those that are not acknowledged."""
        consumer = self._consumer
        if consumer is None or consumer.qos is None:
            return
        if self.host.tied:
            consumer.qos.value = 0
            return
        room = self.host.room(self._all_labels)
        unacknowledged = sum(not message.acknowledged for message in self._held)
        # What Redis was asked for and has not brought will come all the same, and is given back then: kombu would
        # leave it unread for as long as there is no room, and nobody else could have it.
        consumer.qos.value = max(1, unacknowledged + max(room, _is_asked(consumer.task_consumer)))
        if self._paused and room and consumer.task_consumer is not None:
            self._paused = False
            consumer.task_consumer.consume()

    def revoke(self, task: str) -> None:
        """End a task that runs here as revoked, in the ledger too: Celery's own command asks for it."""
        if isinstance(self.host, Host):
            self.host.revoke(task)

    def end(self) -> None:
        """Finish the tasks, and close the host and what it is in."""
        assert isinstance(self.host, Host)
        self.host.close()
        self.backend.close()
        self.close()

    def abandon(self) -> None:
        """Say that nobody works here any more; what runs ends with this process, and runs again elsewhere."""
        try:
            self.backend.announce([])
        except OmegaRuntimeError as exc:
            _log.warning("it could not be said that nobody works here any more: %s", exc)

    def close(self) -> None:
        """Let go of the loop."""
        self.host.on_freed(lambda: None)
        self._bell.close()


def _is_asked(task_consumer: Any) -> bool:
    """Tell whether a Redis was asked for the next call, and has not answered."""
    return bool(task_consumer is not None and getattr(task_consumer.channel, "_in_poll", False))


def _nobody(answer: bytes) -> None:
    """Drop an answer that nobody waits for."""
