"""What this process publishes: calls, answers, and who works here."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import msgspec
from celery import Celery
from kombu import Producer
from kombu.pools import ProducerPool

from omruntime.abc import Call, pack_call
from omruntime_celery.broker import CONTENT, LAST, TASK, WORKERS, queue_of
from omruntime_celery.connections import Connections, errors_of, hang_up
from omruntime_celery.kept import keep_client
from omruntime_celery.mailbox import pack_letters
from omruntime_celery.orders import ORDERS, Order

__all__ = ["AnswerPost", "Post"]

_log = logging.getLogger("omruntime.celery")
_queue_of = lru_cache(maxsize=1024)(queue_of)
"""As `queue_of`: a call does not make the same queue again, and kombu declares one to each connection only once."""
_BYTES = {"content_type": CONTENT, "content_encoding": "binary"}
_PATIENCE = {"max_retries": 4, "interval_start": 0.05, "interval_step": 0.1, "interval_max": 0.5}
"""How a broker is tried again that did not answer: about a second."""


class Post:
    """Publishes by connections that are made as an app makes them.

    Args:
        app: the app.
        private: all calls go to the one worker that there is.
    """

    def __init__(self, app: Celery, private: bool) -> None:
        self._app, self._private = app, private
        self._origin = f"{app.main}@omruntime"
        self._errors = errors_of(app)
        limit = app.conf.broker_pool_limit or None
        self._connections = Connections(app.connection_for_write(), limit)
        self._producers = ProducerPool(self._connections, limit=limit)

    @contextmanager
    def producer(self) -> Iterator[Producer]:
        """Give a producer that nobody else has."""
        with self._producers.acquire(block=True) as producer:
            keep_client(producer.channel)
            yield producer

    def _publish(self, body: bytes, **where: Any) -> None:
        with self.producer() as producer:
            try:
                producer.publish(body, **_BYTES, **where)
            except self._errors:
                # The connection may have been idle while the broker was away.
                producer.publish(body, **_BYTES, **where, retry=True, retry_policy=dict(_PATIENCE))

    def call(self, call: Call, mailbox: str) -> None:
        """Publish a call for the workers of its labels; its answer is sent to the mailbox, where one is named."""
        self._publish(pack_call(call), **self._envelope(call, mailbox))

    def calls(self, calls: Sequence[Call], mailbox: str) -> None:
        """Publish many calls, in few round trips where the transport can."""
        with self.producer() as producer:
            if at_once := getattr(producer, "supports_batch_publish", False):
                with producer.batch():
                    for call in calls:
                        producer.publish(pack_call(call), **_BYTES, **self._envelope(call, mailbox))
        if not at_once:
            # Each takes a producer of its own, and the app may have only one.
            for call in calls:
                self.call(call, mailbox)

    def _envelope(self, call: Call, mailbox: str) -> dict[str, Any]:
        where = _queue_of(call.label, self._private)
        headers = {
            "lang": "py",
            "task": TASK,
            "id": call.id,
            "root_id": call.id,
            "shadow": call.name,
            "label": call.label,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": self._origin,
            "retries": 0,
            "ignore_result": True,
        }
        return {
            "exchange": "",
            "routing_key": where.name,
            "declare": [where],
            "headers": headers,
            "correlation_id": call.id,
            "reply_to": mailbox,
            "delivery_mode": 2,
        }

    def last(self) -> None:
        """Publish what follows all calls, and ends the worker's wait for more."""
        headers = {"lang": "py", "task": TASK, "id": LAST, LAST: True}
        self._publish(b"", exchange="", routing_key=queue_of("", self._private).name, headers=headers)

    def letters(self, mailbox: str, letters: list[tuple[str, bytes]]) -> None:
        """Publish answers to a mailbox."""
        self._publish(pack_letters(letters), exchange="", routing_key=mailbox, delivery_mode=1)

    def order(self, order: Order) -> None:
        """Have all workers do something."""
        self._publish(msgspec.json.encode(order), exchange=ORDERS, routing_key="", declare=[ORDERS], delivery_mode=1)

    def news(self, said: bytes) -> None:
        """Publish what this process says of itself to everybody who listens."""
        self._publish(said, exchange=WORKERS, routing_key="", declare=[WORKERS], delivery_mode=1)

    def close(self) -> None:
        """Close the connections."""
        self._producers.force_close_all()
        self._connections.force_close_all()
        hang_up(self._connections.connection)


class AnswerPost:
    """Sends answers in a thread of its own, those to one mailbox that are there at a time as one message."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._waiting: queue.SimpleQueue[tuple[str, str, bytes] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def send(self, mailbox: str, id: str, answer: bytes) -> None:
        """Have an answer sent; it is dropped where the broker is gone, since the ledger has the outcome."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="omruntime-celery-answers", daemon=True)
                self._thread.start()
        self._waiting.put((mailbox, id, answer))

    def send_news(self, said: bytes) -> None:
        """Have everybody who listens told what this process says of itself."""
        self.send("", "", said)

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, last = [first], False
            while not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    last = True
                    break
                batch.append(following)
            self._send(batch)
            if last:
                return

    def _send(self, batch: list[tuple[str, str, bytes]]) -> None:
        letters: dict[str, list[tuple[str, bytes]]] = {}
        for mailbox, id, answer in batch:
            letters.setdefault(mailbox, []).append((id, answer))
        for mailbox, those in letters.items():
            try:
                if mailbox:
                    self._post.letters(mailbox, those)
                else:
                    self._post.news(those[-1][1])
            except Exception as exc:  # noqa: BLE001
                # This thread has the next answers to send.
                _log.warning("%d answers could not be sent; who waits reads the ledger: %s", len(those), exc)

    def close(self) -> None:
        """Send what is left, and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()
