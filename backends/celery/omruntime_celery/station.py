"""Celery's worker as a host: it takes our messages off the queues and hands the calls in them to a `Host`.

The pool of Celery is not used. A call is acknowledged when it is over, or after a minute: until then it counts
against the worker's prefetch count, which is what it runs and what it has room for. So it takes no call that would
have to wait here.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Collection
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from celery import Celery, Task, bootsteps
from celery.exceptions import ImproperlyConfigured
from celery.worker import state
from celery.worker.consumer.tasks import Tasks
from celery.worker.control import control_command
from celery.worker.request import Request

from omruntime.abc import WorkerHost
from omruntime.auth import default_auth
from omruntime.errors import BackendUnavailable, OmegaRuntimeError, UnsupportedCapability
from omruntime.ledger import lease_period
from omruntime.masking import mask_text
from omruntime.worker import Host, status_of
from omruntime_celery.bell import Bell
from omruntime_celery.broker import CONTENT, LAST, TASK, address_of
from omruntime_celery.command import labels_asked_for, listen_to, refuse_pool, said_by_celery, shown_to_tasks
from omruntime_celery.errors import ERRORS
from omruntime_celery.mailbox import is_mailbox

if TYPE_CHECKING:
    from omruntime_celery.backend import CeleryBackend

__all__ = ["join", "work"]

_log = logging.getLogger("omruntime.celery")
_LONGEST_UNACKNOWLEDGED = 60.0
"""Seconds after which a call is acknowledged though it runs: RabbitMQ gives up a channel after half an hour."""
_LOOK = 0.05
_NOTHING: Any = ((), {}, {})
"""What Celery's own tools see of a call's arguments."""
_TEXTS = ("id", "label", "shadow")
"""Headers of ours that are looked at; what else a message may have, nobody knows."""
_LONGEST_TEXT = 255
_SHOWN = {"lang": "py", "task": TASK, "argsrepr": "()", "kwargsrepr": "{}", "ignore_result": True}
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
        self._say()

    def listen(self, hub: Any) -> None:
        """Have the event loop look at what other threads have done, and at the time."""
        hub.add_reader(self._bell.fileno(), self._look)
        hub.timer.call_repeatedly(min(lease_period() / 3, 1.0), self._say)
        hub.timer.call_repeatedly(1.0, self._let_go)
        if self._stop is not None:
            hub.timer.call_repeatedly(_LOOK, self._end_when_told)

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
            if why := _foreign(message):
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
        consumer = self._consumer
        said = {name: message.headers.get(name, "")[:_LONGEST_TEXT] for name in _TEXTS}
        headers = {**_SHOWN, **said, "root_id": said["id"]}
        request = OurRequest(
            message,
            app=consumer.app,
            hostname=consumer.hostname,
            eventer=consumer.event_dispatcher,
            task=consumer.app.tasks[TASK],
            body=_NOTHING,
            headers=headers,
            decoded=True,
            utc=True,
        )
        request.station = self
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


def _foreign(message: Any) -> str:
    """Say why a message is none of ours; empty where it may be one."""
    headers = message.headers
    if message.content_type != CONTENT or not isinstance(message.body, bytes):
        return f"its content type is {message.content_type!r:.80}"
    if not isinstance(headers, dict) or headers.get("task") != TASK:
        return "it is no call of omruntime"
    if not all(isinstance(headers.get(name, ""), str) for name in _TEXTS):
        return "its headers are not those of a call"
    return ""


class OurRequest(Request):  # type: ignore[misc]
    """What Celery's own tools know of a call."""

    station: Station

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """End the task as revoked: what ``celery control revoke --terminate`` does."""
        self.station.revoke(self.id)


class OurTask(Task):  # type: ignore[misc]
    """What Celery finds when a message of ours arrives; it is never run by a pool."""

    name = TASK
    ignore_result = True

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Refuse to be called."""
        raise NotImplementedError("calls of omruntime are sent by om.runtime, not by Celery's apply_async()")


class HostStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Makes the host of a worker before the worker connects, and ends it when it does not consume any more."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, worker: Any, omruntime: Station | None = None, **options: Any) -> None:
        super().__init__(worker, **options)
        self._mine = omruntime is None
        worker.omruntime = omruntime
        if omruntime is not None:
            listen_to(worker.app, omruntime.labels, omruntime.backend.is_private)
            return
        refuse_pool(worker.pool_cls)
        self._labels = labels_asked_for(worker.app)
        with said_by_celery():
            listen_to(worker.app, self._labels)

    def start(self, worker: Any) -> None:
        """Make the host."""
        if worker.omruntime is not None:
            return
        try:
            worker.omruntime = _own_station(worker.app, self._labels, worker.concurrency)
        except OmegaRuntimeError as exc:
            _log.critical("this worker cannot work: %s", exc)
            raise SystemExit(os.EX_UNAVAILABLE) from exc

    def stop(self, worker: Any) -> None:
        """Finish the tasks, where this worker has made the host; or leave them to others when it is told so."""
        if not self._mine or worker.omruntime is None:
            return
        station, worker.omruntime = worker.omruntime, None
        closing = threading.Thread(target=station.end, name="omruntime-end", daemon=True)
        closing.start()
        while closing.is_alive() and state.should_terminate is None:
            closing.join(_LOOK)
        if closing.is_alive():
            station.abandon()

    def terminate(self, worker: Any) -> None:
        """Leave the tasks to others: the lease of this host runs out."""
        if self._mine and worker.omruntime is not None:
            worker.omruntime.abandon()


def _own_station(app: Celery, labels: Collection[str], slots: int) -> Station:
    from omruntime_celery.backend import CeleryBackend

    auth = default_auth()
    backend = CeleryBackend.open(address_of(app), auth=auth, app=app)
    try:
        host = Host.of(backend, {",".join(sorted(labels)): slots}, auth, env=shown_to_tasks())
        if store := os.environ.get("OMRUNTIME_STORE"):
            host.look_after(store)
    except BaseException:
        backend.close()
        raise
    return Station(backend, host)


class StationStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Attaches the host to each connection of Celery's consumer."""

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """Begin to work for a connection."""
        consumer.controller.omruntime.attach(consumer)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Have the event loop wake up for us."""
        consumer.controller.omruntime.listen(hub)


@control_command(args=[("task", str)])  # type: ignore[untyped-decorator]
def omruntime_cancel(state: Any, task: str) -> None:
    """Stop a task that the ledger has ended."""
    station: Station | None = getattr(state.consumer.controller, "omruntime", None)
    if station is not None and isinstance(station.host, Host):
        station.host.cancel(task)


@control_command()  # type: ignore[untyped-decorator]
def omruntime_who(state: Any) -> None:
    """Say who works here."""
    station: Station | None = getattr(state.consumer.controller, "omruntime", None)
    if station is not None:
        station.backend.say_again()


def join(app: Celery) -> None:
    """Have the workers of an app be hosts of omruntime."""
    app.register_task(OurTask())
    app.steps["worker"].add(HostStep)
    app.steps["consumer"].add(StationStep)


def work(backend: CeleryBackend, host: WorkerHost, stop: threading.Event) -> None:
    """Run one of Celery's workers in this thread, with a host that is there already, until ``stop`` is set.

    Raises:
        BackendUnavailable: the broker is gone.
        UnsupportedCapability: the app is the user's, and nothing of it is changed.
    """
    app = backend.app
    if not backend.is_ours:
        raise UnsupportedCapability(
            "the workers of an app of yours are started with Celery's own command, by a module that has "
            "app = omruntime_celery.worker.worker_app(your_app): celery -A that_module worker -Q gpu -c 2"
        )
    if TASK not in app.tasks:
        join(app)
    _let_celery_speak()
    app.conf.broker_connection_retry = app.conf.broker_connection_retry_on_startup = False
    station = Station(backend, host, stop)
    state.should_stop = None
    controller = app.WorkController(
        pool="solo",
        concurrency=1,
        # Two nodes of one name cannot be told apart, and RabbitMQ gives the queue of their orders to one only.
        hostname=f"omruntime-{os.getpid()}@{socket.gethostname()}",
        omruntime=station,
        without_gossip=True,
        without_mingle=True,
        loglevel="WARNING",
    )
    try:
        controller.start()
    except (ImproperlyConfigured, *ERRORS) as exc:
        raise BackendUnavailable(f"Celery's worker could not be started: {exc}") from exc
    finally:
        state.should_stop = None
        station.close()
    if not stop.is_set():
        raise BackendUnavailable(f"the broker at {backend.address} is gone")


def _let_celery_speak() -> None:
    """Print what Celery and kombu warn of, where this process has no other idea of logging."""
    if logging.getLogger().handlers or logging.lastResort is None:
        return
    for name in ("celery", "kombu"):
        logger = logging.getLogger(name)
        if logging.lastResort not in logger.handlers:
            logger.addHandler(logging.lastResort)
