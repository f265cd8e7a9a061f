"""The broker: its URL, the Celery app that connects to it, and the names of the queues."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from celery import Celery
from kombu import Connection, Exchange, Queue
from kombu.exceptions import OperationalError

from omruntime.errors import InvalidName, NoSuchLabel
from omruntime.masking import mask

__all__ = [
    "CONTENT",
    "LAST",
    "ONE_QUEUE",
    "TASK",
    "WORKERS",
    "address_of",
    "app_for",
    "calling",
    "errors_of",
    "hang_up",
    "is_private",
    "queue_of",
    "queues_of",
    "shown",
]

TASK = "omruntime"
"""Name that Celery's workers know our calls by; what they show is the name of the call."""
LAST = "last"
"""Header of a message that comes after all calls of a private broker: its worker has taken them all then."""
CONTENT = "application/data"
"""Content type of a call: bytes that nobody decodes on the way."""
WORKERS = Exchange("omruntime.workers", type="fanout", durable=False, delivery_mode=1)
"""Where workers say that they live."""
ONE_QUEUE = "omruntime_private"
"""Option of a private broker's URL: its only worker takes all calls, whatever their labels, from one queue."""

_PREFIX = "omruntime."
_ALL = "omruntime"
_MOST_LABELS = 8
"""Labels that one worker may have: it listens to a queue for each set of them, 255."""
_LONGEST = 255
"""Bytes in the name of a queue (AMQP 0-9-1, short string)."""
_SSL = "ssl_"
_GOODBYE = 1.0
"""Seconds that a broker is given to take leave of a connection."""

_SETTINGS: Mapping[str, Any] = {
    "accept_content": ["json"],
    "broker_connection_max_retries": None,
    "broker_connection_retry_on_startup": True,
    "event_serializer": "json",
    "result_backend": None,
    "result_serializer": "json",
    "task_create_missing_queues": True,
    "task_default_queue": "default",
    "task_ignore_result": True,
    "task_serializer": "json",
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_prefetch_count_reduction": False,
    "worker_pool": "solo",
    "worker_prefetch_multiplier": 1,
}
_REDIS: Mapping[str, Any] = {
    # The ledger knows what was taken and not done; a second book in the broker only costs two round trips a call.
    "ack_emulation": False,
    # One list for a queue, not one for each priority.
    "priority_steps": [0],
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
}


def app_for(url: str, conf: Mapping[str, Any] | None = None) -> Celery:
    """Return a Celery app for a broker, which is nobody's current app.

    Args:
        url: the broker, with or without ``celery+`` before it; transport options behind a ``?``.
        conf: settings that come before ours.
    """
    broker, options = _split(url.removeprefix("celery+"))
    given = dict(conf or {})
    transport = {**(_REDIS if _is_redis(broker) else {}), **options, **given.pop("broker_transport_options", {})}
    app = Celery("omruntime", broker=broker, set_as_current=False, fixups=[])
    app.conf.update({**_SETTINGS, "broker_transport_options": transport, **given})
    return app


def _split(url: str) -> tuple[str, dict[str, Any]]:
    """Take the transport's options out of a URL; those of TLS stay, since the transport reads them there."""
    broker, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    tls = [(key, value) for key, value in pairs if key.startswith(_SSL)]
    options = {key: _value(value) for key, value in pairs if not key.startswith(_SSL) and key != ONE_QUEUE}
    return (f"{broker}?{urlencode(tls)}" if tls else broker), options


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_redis(broker: str) -> bool:
    return broker.partition("://")[0] in ("redis", "rediss", "sentinel")


def address_of(app: Celery) -> str:
    """Return the address of an app's broker as a URL of ours, with its credentials."""
    urls = app.conf.broker_write_url or app.conf.broker_url or "amqp://guest@localhost//"
    return f"celery+{urls if isinstance(urls, str) else ';'.join(urls)}"


def shown(url: str) -> str:
    """Return a URL without credentials and options: what is recorded with each request."""
    return "celery+" + mask(url.removeprefix("celery+").partition("?")[0])


def is_private(url: str) -> bool:
    """Tell whether this is the address of a private broker."""
    return any(key == ONE_QUEUE for key, _ in parse_qsl(url.partition("?")[2]))


def errors_of(app: Celery) -> tuple[type[BaseException], ...]:
    """Return what connections and channels of an app's broker raise, without making one."""
    transport = app.connection_for_write().get_transport_cls()
    return (OperationalError, OSError, *transport.connection_errors, *transport.channel_errors)


def hang_up(connection: Connection) -> None:
    """Close a connection with all that it has, and do not wait long for a broker that says nothing."""
    socket = getattr(connection.connection, "sock", None) if connection.connected else None
    if socket is not None:
        socket.settimeout(_GOODBYE)
    # The poller of a Redis: kombu leaves it to the garbage collector.
    cycle = getattr(connection.transport, "cycle", None)
    # A connection of a pool would go back to it.
    Connection.release(connection)
    if cycle is not None:
        cycle.poller.close()


@contextmanager
def calling(connection: Connection) -> Iterator[Connection]:
    """Have a connection for the time of a block."""
    try:
        yield connection
    finally:
        hang_up(connection)


def queue_of(label: str, private: bool) -> Queue:
    """Return the queue of a set of labels.

    Raises:
        InvalidName: no queue can be named like this.
    """
    name = _ALL if private else _PREFIX + quote(label, safe=",-._~ :/@+")
    if len(name) > _LONGEST:
        raise InvalidName(
            f"the label {label[:40]!r}... has {len(label)} characters: a queue is named like it, and may have "
            f"{_LONGEST} bytes; give the workers a shorter label"
        )
    return Queue(name, routing_key=name)


def queues_of(labels: Collection[str], private: bool) -> list[Queue]:
    """Return the queues that a worker of these labels listens to: one for each set of them.

    Raises:
        NoSuchLabel: these are too many labels.
    """
    if private:
        return [queue_of("", private)]
    if len(labels) > _MOST_LABELS:
        raise NoSuchLabel(
            f"a worker on Celery may have {_MOST_LABELS} labels, and this one is to have {len(labels)}: it listens "
            "to a queue for each set of its labels; start several workers, each with some of them"
        )
    there = sorted(labels)
    sets = itertools.chain.from_iterable(itertools.combinations(there, size) for size in range(1, len(there) + 1))
    return [queue_of(",".join(each), private) for each in sets]
