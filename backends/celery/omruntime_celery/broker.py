"""The broker: the Celery app that connects to it, and the names of the queues."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

from celery import Celery
from celery.app.defaults import SETTING_KEYS
from kombu import Exchange, Queue
from redis.backoff import NoBackoff
from redis.retry import Retry

from omruntime.errors import InvalidName, NoSuchLabel
from omruntime_celery.address import read_address

__all__ = ["CONTENT", "LAST", "TASK", "WORKERS", "address_of", "app_for", "app_like", "queue_of", "queues_of"]

TASK = "omruntime"
"""Name that Celery's workers know our calls by; what they show is the name of the call."""
LAST = "last"
"""Header of a message that comes after all calls of a private broker: its worker has taken them all then."""
CONTENT = "application/data"
"""Content type of a call: bytes that nobody decodes on the way."""
WORKERS = Exchange("omruntime.workers", type="fanout", durable=False, delivery_mode=1)
"""Where workers say that they live."""

_PREFIX = "omruntime."
_ALL = "omruntime"
_MOST_LABELS = 8
"""Labels that one worker may have: it listens to a queue for each set of them, 255."""
_LONGEST = 255
"""Bytes in the name of a queue (AMQP 0-9-1, short string)."""

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
    "worker_consumer": "omruntime_celery.consumer:StationConsumer",
    "worker_enable_prefetch_count_reduction": False,
    "worker_pool": "solo",
    "worker_prefetch_multiplier": 1,
}
_NOWHERE = "amqp://guest@localhost//"
"""Where Celery connects to that was told nothing."""
_CONNECTING = ("broker_", "control_", "event_")
"""How the settings begin that say how an app and its workers are reached."""
_REDIS: Mapping[str, Any] = {
    # The ledger knows what was taken and not done; a second book in the broker only costs two round trips a call.
    "ack_emulation": False,
    # One list for a queue, not one for each priority.
    "priority_steps": [0],
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    # A server that takes connections and does not answer is as good as gone.
    "socket_timeout": 10,
}
_SENTINEL: Mapping[str, Any] = {
    # There are several of them for the case that one does not answer.
    "retry": Retry(NoBackoff(), 0),
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
}


class _App(Celery):  # type: ignore[misc]
    """An app that connects where it was told to, whatever ``CELERY_BROKER_URL`` says; and has no result backend."""

    backend_cls = "disabled://"

    def __init__(self, reads: str | None, writes: str | None) -> None:
        super().__init__("omruntime", set_as_current=False, fixups=[])
        self.reads, self.writes = reads or _NOWHERE, writes or _NOWHERE

    def connection(self, hostname: str | None = None, **kwargs: Any) -> Any:
        """Return a connection that has still to be made."""
        return super().connection(hostname or self.writes, **kwargs)

    def connection_for_read(self, url: str | None = None, **kwargs: Any) -> Any:
        """Return a connection that has still to be made."""
        return super().connection_for_read(url or self.reads, **kwargs)

    def connection_for_write(self, url: str | None = None, **kwargs: Any) -> Any:
        """Return a connection that has still to be made."""
        return super().connection_for_write(url or self.writes, **kwargs)


def app_for(url: str, conf: Mapping[str, Any] | None = None) -> Celery:
    """Return a Celery app for a broker, which is nobody's current app.

    Args:
        url: the broker, with or without ``celery+`` before it; transport options behind a ``?``.
        conf: settings that come before ours.

    Raises:
        BackendNotInstalled: the URL names a kind of broker that is not supported.
        BackendUnavailable: the URL cannot be read.
        TypeError: Celery has no such setting.
    """
    broker, given = read_address(url), dict(conf or {})
    _check_settings(given)
    transport = {
        **(_REDIS if broker.is_redis else {}),
        **broker.options,
        **given.pop("broker_transport_options", {}),
    }
    app = _App(broker.url, broker.url)
    if broker.url.startswith("sentinel://"):
        transport["sentinel_kwargs"] = {**_SENTINEL, **transport.get("sentinel_kwargs", {})}
    tls = {"broker_use_ssl": dict(broker.tls)} if broker.tls else {}
    app.conf.update({**_SETTINGS, **tls, "broker_transport_options": transport, **given})
    return app


def app_like(app: Celery) -> Celery:
    """Return an app that connects as another one does, and has nothing else of it.

    Raises:
        BackendNotInstalled: its broker is of a kind that is not supported.
    """
    read_address(address_of(app))
    same = {key: app.conf[key] for key in SETTING_KEYS if key.startswith(_CONNECTING)}
    made = _App(app.conf.broker_read_url or app.conf.broker_url, app.conf.broker_write_url or app.conf.broker_url)
    made.conf.update({**_SETTINGS, **same})
    return made


def _check_settings(given: Collection[str]) -> None:
    if unknown := sorted(set(given) - SETTING_KEYS):
        near = difflib.get_close_matches(unknown[0], SETTING_KEYS, 1)
        meant = f"did you mean {near[0]}?" if near else "Celery's documentation lists them"
        raise TypeError(f"conf= has {', '.join(unknown)}, and Celery has no such setting; {meant}")


def address_of(app: Any) -> str:
    """Return the address of an app's broker as a URL of ours, with its credentials.

    Raises:
        TypeError: it is no Celery app.
    """
    if not isinstance(app, Celery):
        raise TypeError(f"app= is the user's Celery app, and {type(app).__name__} is none")
    urls = app.writes if isinstance(app, _App) else app.conf.broker_write_url or _NOWHERE
    return f"celery+{urls if isinstance(urls, str) else ';'.join(urls)}"


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
