"""What comes back to a process: answers to its calls, and what workers say of themselves; one thread hears both."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec
from celery import Celery
from kombu import Connection, Consumer, Producer, Queue

from omruntime.masking import mask_text
from omruntime_celery.broker import CONTENT, WORKERS
from omruntime_celery.connections import calling, errors_of

__all__ = ["Mailbox", "is_mailbox", "pack_letters"]

_log = logging.getLogger("omruntime.celery")
_PREFIX = "omruntime.answers."
_EXPIRES = 600.0
"""Seconds after which the queue of a process that is gone goes too."""
_TICK = 1.0
_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between attempts to reach a broker that is gone."""
_letters = msgspec.msgpack.Decoder(list[tuple[str, bytes]])
_encoder = msgspec.msgpack.Encoder()


def is_mailbox(name: object) -> bool:
    """Tell whether this is the name of a mailbox, and not that of a queue with something else in it."""
    return isinstance(name, str) and name.startswith(_PREFIX) and len(name) == len(_PREFIX) + 32


def pack_letters(letters: list[tuple[str, bytes]]) -> bytes:
    """Return answers, each with the id of its call, as one message."""
    return _encoder.encode(letters)


class Mailbox:
    """A queue of this process's own, and the thread that reads it; both begin when somebody is waited for.

    Args:
        app: what connects.
        on_answer: called with the id of a call and its answer.
        on_presence: called with what a worker process says of itself.
        on_return: called when it listens again to a broker that was gone.

    Attributes:
        name: name of the queue.
    """

    def __init__(
        self,
        app: Celery,
        on_answer: Callable[[str, bytes], None],
        on_presence: Callable[[bytes], None],
        on_return: Callable[[], None],
    ) -> None:
        self.name = f"{_PREFIX}{uuid4().hex}"
        self._app = app
        self._on_answer, self._on_presence, self._on_return = on_answer, on_presence, on_return
        self._errors = errors_of(app)
        self._lock = threading.Lock()
        self._listens = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self) -> None:
        """Begin to listen, and return when nothing can be missed any more; or when the broker is gone."""
        if self._listens.is_set():
            return
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="omruntime-celery-mailbox", daemon=True)
                self._thread.start()
        self._listens.wait(_TICK)

    def _run(self) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                with calling(self._app.connection_for_read()) as connection:
                    self._hear(connection)
                failures = 0
            except Exception as exc:  # noqa: BLE001
                # The broker is gone, or what came was no message: whoever can write to it can write anything.
                if not failures:
                    why = mask_text(str(exc)) or type(exc).__name__
                    _log.warning("answers cannot be heard, the ledger is read until they can: %s", why)
                self._closed.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1

    def _hear(self, connection: Connection) -> None:
        exclusive = connection.transport.driver_type == "amqp"
        shape: dict[str, Any] = {"durable": False, "auto_delete": True, "exclusive": exclusive}
        mine = Queue(self.name, routing_key=self.name, expires=None if exclusive else _EXPIRES, **shape)
        news = Queue(f"{self.name}.workers", WORKERS, **shape)
        channel = connection.default_channel
        with (
            Consumer(channel, [mine], no_ack=True, on_message=self._answered, accept=[CONTENT]),
            Consumer(channel, [news], no_ack=True, on_message=self._told, accept=[CONTENT]),
        ):
            self._drain(connection, 0.01)
            if self._listens.is_set():
                self._on_return()
            self._listens.set()
            beat = time.monotonic() + _TICK
            while not self._closed.is_set():
                self._drain(connection, _TICK)
                if time.monotonic() >= beat:
                    # A RabbitMQ takes leave of whoever only listens.
                    connection.heartbeat_check()
                    beat = time.monotonic() + _TICK

    def _drain(self, connection: Connection, timeout: float) -> None:
        try:
            connection.drain_events(timeout=timeout)
        except TimeoutError:
            return

    def _answered(self, message: Any) -> None:
        if message.content_type != CONTENT or not isinstance(message.body, bytes):
            return
        try:
            letters = _letters.decode(message.body)
        except msgspec.MsgspecError:
            return
        for id, answer in letters:
            self._on_answer(id, answer)

    def _told(self, message: Any) -> None:
        if message.content_type == CONTENT and isinstance(message.body, bytes):
            self._on_presence(message.body)

    def close(self, producer: Callable[[], Any]) -> None:
        """End the thread: a letter of nobody wakes it."""
        self._closed.set()
        if self._thread is None:
            return
        deadline = time.monotonic() + _TICK
        try:
            with producer() as sender:
                _wake(sender, self.name)
        except self._errors:
            # The broker is gone, and the thread does not wait for it long.
            deadline += _TICK
        self._thread.join(max(0.0, deadline - time.monotonic()) + _TICK)


def _wake(producer: Producer, name: str) -> None:
    producer.publish(
        pack_letters([]),
        exchange="",
        routing_key=name,
        content_type=CONTENT,
        content_encoding="binary",
        delivery_mode=1,
    )
