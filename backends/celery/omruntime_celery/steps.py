"""How a worker of Celery becomes one of omruntime: steps of its start, and its start from a process of ours."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from celery import Celery, bootsteps
from celery.exceptions import ImproperlyConfigured
from celery.worker import state
from celery.worker.consumer.tasks import Tasks
from kombu import Consumer

from omruntime.abc import WorkerHost
from omruntime.auth import default_auth
from omruntime.errors import BackendUnavailable, OmegaRuntimeError, UnsupportedCapability
from omruntime.worker import Host
from omruntime_celery.broker import CONTENT, TASK, address_of
from omruntime_celery.command import labels_asked_for, listen_to, refuse_pool, said_by_celery, shown_to_tasks
from omruntime_celery.errors import ERRORS
from omruntime_celery.messages import OurTask
from omruntime_celery.orders import orders_queue
from omruntime_celery.station import Station

if TYPE_CHECKING:
    from omruntime_celery.backend import CeleryBackend

__all__ = ["join", "work"]

_log = logging.getLogger("omruntime.celery")
_LOOK = 0.05


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
    """Attaches the host to each connection of Celery's consumer, and has it hear what clients order."""

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """Begin to work for a connection."""
        station: Station = consumer.controller.omruntime
        station.attach(consumer)
        # A channel of its own: what is fetched from this one counts for nobody's prefetch.
        channel = consumer.connection.channel()
        exclusive = consumer.connection.transport.driver_type == "amqp"
        self._orders = Consumer(
            channel, [orders_queue(exclusive)], no_ack=True, on_message=station.order, accept=[CONTENT]
        )
        self._orders.consume()

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Have the event loop wake up for us."""
        consumer.controller.omruntime.listen(hub)


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
    if controller.exitcode == os.EX_OK:
        # By Celery's own command, `celery control shutdown`.
        stop.set()
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
