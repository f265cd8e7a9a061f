"""What the command ``celery worker`` was asked for, as a worker of omruntime understands it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import click
from celery import Celery
from celery.concurrency.solo import TaskPool

from omruntime.errors import OmegaRuntimeError
from omruntime.masking import mask
from omruntime_celery.broker import queues_of

__all__ = ["labels_asked_for", "listen_to", "refuse_pool", "said_by_celery", "shown_to_tasks"]

_LOCAL = "local"
_ADDRESSES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")


@contextmanager
def said_by_celery() -> Iterator[None]:
    """Have Celery's command print an error of ours as it prints its own."""
    try:
        yield
    except OmegaRuntimeError as exc:
        raise click.ClickException(str(exc)) from exc


def refuse_pool(pool: type[Any]) -> None:
    """Refuse a pool of Celery's: tasks run in processes of the host, and a pool would only stand by.

    Raises:
        ClickException: it is not the pool that has no processes and no threads.
    """
    if not issubclass(pool, TaskPool):
        name = pool.__module__.rpartition(".")[2]
        raise click.ClickException(
            f"this worker has no use for the pool {name!r}: its tasks run in processes of their own, as many as "
            "--concurrency says; leave -P (--pool) away"
        )


def labels_asked_for(app: Celery) -> frozenset[str]:
    """Return the queues of ``-Q``, which are the labels of the worker; ``default`` without one."""
    asked = app.amqp.queues._consume_from  # noqa: SLF001
    labels = frozenset(part.strip() for name in asked or () for part in name.split(",") if part.strip())
    if _LOCAL in labels:
        raise click.ClickException(
            f"no worker may have the label {_LOCAL!r}: it stands for the client's own workers; take another for -Q"
        )
    return labels or frozenset({"default"})


def shown_to_tasks() -> dict[str, str]:
    """Return the variables that tell Celery's command where the broker is, as tasks may see them."""
    return {name: mask(os.environ[name]) for name in _ADDRESSES if name in os.environ}


def listen_to(app: Celery, labels: Collection[str], private: bool = False) -> None:
    """Have the workers of an app consume from the queues of these labels, and from no others.

    Raises:
        NoSuchLabel: these are too many labels.
        InvalidName: no queue can be named like one of them.
    """
    queues = queues_of(labels, private)
    for queue in queues:
        # Its add() would declare them otherwise than clients do, by the app's defaults for queues of its own.
        dict.__setitem__(app.amqp.queues, queue.name, queue)
    app.amqp.queues.select([queue.name for queue in queues])
