"""The engine: calls and answers are messages of a Celery broker, and Celery's workers are the hosts."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Self

from celery import Celery

from omruntime.abc import Answers, Backend, Call, Capability, WorkerHost, WorkerInfo, answer_of
from omruntime.errors import BackendUnavailable
from omruntime.ledger import lease_period
from omruntime_celery.address import check_master, is_private, read_address, shown
from omruntime_celery.broker import app_for, queue_of
from omruntime_celery.connections import calling
from omruntime_celery.errors import ERRORS, nobody_there
from omruntime_celery.mailbox import Mailbox
from omruntime_celery.orders import Order
from omruntime_celery.post import AnswerPost, Post
from omruntime_celery.presence import Presence, pack_presence
from omruntime_celery.private import private_redis

__all__ = ["CeleryBackend"]

_CONNECT_LIMIT = 10.0
"""Seconds after which a broker that has not answered is not there."""
_LIFE_HOLDS = 1.0
"""Seconds for which the broker's life is taken to be the one that was seen last."""


class CeleryBackend(Backend):
    """Sends calls through a Celery broker to the hosts in Celery's workers."""

    name = "celery"
    schemes = (
        "celery",
        "celery+redis",
        "celery+rediss",
        "celery+sentinel",
        "celery+amqp",
        "celery+amqps",
    )
    capabilities = frozenset(Capability)
    errors = ERRORS

    def __init__(self, url: str, app: Celery, mine: bool) -> None:
        self.address, self.app, self._mine = shown(url), app, mine
        self._private = is_private(url)
        self._post = Post(app, self._private)
        self._answers = Answers()
        self._presence = Presence(self._ask_who_works, alone=self._private)
        self._mailbox = Mailbox(app, self._answers.give, self._presence.hear, self._presence.forget_that_it_was_asked)
        self._replies = AnswerPost(self._post)
        self.mailbox = self._mailbox.name
        self._life, self._life_seen = "", float("-inf")
        self._host_said: tuple[str, Sequence[WorkerInfo]] = ("", ())
        self._serves = False
        self._closing = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, url: str, **options: Any) -> Self:
        """Connect to a broker, by the user's app where one is given as ``app``."""
        app, conf = options.pop("app", None), options.pop("conf", None)
        options.pop("auth", None)
        if options or (app is not None and conf):
            raise TypeError(
                f"{shown(url)} takes no {', '.join(options) or 'conf= beside app='}; it takes conf= or app="
            )
        if conf is not None and not isinstance(conf, Mapping):
            raise TypeError(f"conf= is a dict of Celery's settings, and {type(conf).__name__} is none")
        if app is not None:
            # Its kind of broker is looked at, and no more than that.
            read_address(url)
        opened = app_for(url, conf) if app is None else app
        check_master(url, opened.conf.broker_transport_options)
        try:
            with calling(opened.connection_for_write(transport_options=_bounds(url))) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=_CONNECT_LIMIT)
        except tuple(ERRORS) as exc:
            raise BackendUnavailable(nobody_there(url, exc)) from exc
        return cls(url, opened, app is None)

    @classmethod
    def private(cls) -> AbstractContextManager[str]:
        """Have a Redis of our own."""
        return private_redis()

    # -- calls ---------------------------------------------------------------------------------------------------

    def submit(self, call: Call) -> Future[bytes]:
        """Publish a call for the workers of its labels."""
        self._mailbox.listen()
        future = self._answers.expect(call.id)
        try:
            self._post.call(call, self.mailbox)
        except BaseException:
            future.cancel()
            raise
        return future

    def submit_many(self, calls: Sequence[Call]) -> list[Future[bytes]]:
        """Publish many calls, in few round trips."""
        self._mailbox.listen()
        futures = [self._answers.expect(call.id) for call in calls]
        try:
            self._post.calls(calls, self.mailbox)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return futures

    def submit_canvas(self, id: str, calls: Sequence[Call]) -> Future[bytes]:
        """Publish the first steps; whoever ends the canvas tells this process so."""
        self._mailbox.listen()
        future = self._answers.expect(id)
        try:
            self._post.calls(calls, "")
        except BaseException:
            future.cancel()
            raise
        return future

    def forward(self, call: Call) -> None:
        """Publish a call whose answer nobody waits for here."""
        self._post.call(call, "")

    def answer(self, mailbox: str, id: str, answer: bytes) -> None:
        """Send the packed answer of a call to the one who has submitted it."""
        self._replies.send(mailbox, id, answer)

    def tell(self, mailbox: str, id: str, outcome: bytes) -> None:
        """Send the outcome of a canvas to the one who has submitted it."""
        self._replies.send(mailbox, id, answer_of(outcome))

    def cancel(self, id: str) -> bool:
        """Tell all hosts that a task is cancelled; the one that runs it stops it."""
        self._post.order(Order(cancel=id))
        return True

    # -- workers -------------------------------------------------------------------------------------------------

    def workers(self) -> list[WorkerInfo]:
        """List the workers that have been heard of within their lease."""
        self._mailbox.listen()
        return self._presence.workers()

    def _ask_who_works(self) -> None:
        self._post.order(Order())

    def announce(self, workers: Sequence[WorkerInfo]) -> None:
        """Say who works in this process, once it takes calls, and go on saying it with `say_again`."""
        self._host_said = (self.mailbox, tuple(workers))
        if self._serves:
            # Whoever calls this renews a lease as well, and must not wait for a broker that hangs.
            self._replies.send_news(self._presence_of_this_process())

    def serve(self) -> None:
        """Say from now on who works here: calls are taken, and whoever asks is answered."""
        self._serves = True
        self.say_again()

    def say_again(self) -> None:
        """Say again who works in this process, so that it counts as alive."""
        if self._serves and self._host_said[0]:
            self._post.news(self._presence_of_this_process())

    def _presence_of_this_process(self) -> bytes:
        host, workers = self._host_said
        return pack_presence(host, lease_period(), workers)

    def work(self, host: WorkerHost, stop: threading.Event) -> None:
        """Be one of Celery's workers."""
        from omruntime_celery.steps import work

        work(self, host, stop)

    def send_last(self) -> None:
        """Say to the only worker of a private broker, after all calls, that there will be no more."""
        self._post.last()

    # -- the broker ----------------------------------------------------------------------------------------------

    @property
    def is_ours(self) -> bool:
        """Whether the app was made here, and is not the user's."""
        return self._mine

    @property
    def is_private(self) -> bool:
        """Whether its only worker takes all calls, from one queue."""
        return self._private

    def incarnation(self) -> str:
        """Name the run of the Redis server; the lives of a RabbitMQ have no names.

        It keeps what it has written. What it had not yet written when it died, `queued` shows to be missing; to wait
        for its confirmation (``?confirm_publish=true``) costs milliseconds for each call, where sending takes 20 us.
        """
        now = time.monotonic()
        if now - self._life_seen > _LIFE_HOLDS:
            self._life, self._life_seen = self._read_life(), now
        return self._life

    def _read_life(self) -> str:
        with self._post.producer() as producer:
            channel = producer.channel
            if producer.connection.transport.driver_type != "redis":
                return ""
            with channel.conn_or_acquire() as client:
                return str(client.info("server")["run_id"])

    def queued(self, label: str) -> int:
        """Return how many calls wait in the queue of a set of labels."""
        with self._post.producer() as producer:
            return int(queue_of(label, self._private)(producer.channel).queue_declare(passive=False).message_count)

    def close(self) -> None:
        """End the threads and connections of this process; an app of the user's stays open."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        host, _ = self._host_said
        if host:
            self.announce([])
        self._replies.close()
        self._mailbox.close(self._post.producer)
        self._answers.close()
        self._post.close()
        if self._mine:
            self.app.close()


def _bounds(url: str) -> dict[str, float]:
    """Return what keeps a first look at a broker from waiting for ever, whatever is set for all others."""
    if not read_address(url).is_redis:
        return {}
    return {"socket_connect_timeout": _CONNECT_LIMIT / 2, "socket_timeout": _CONNECT_LIMIT / 2}
