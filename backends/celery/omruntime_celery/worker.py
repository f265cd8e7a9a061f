"""The app of Celery's own worker command: ``celery -A omruntime_celery.worker worker -Q gpu -c 2``.

The broker is that of ``--broker``, ``CELERY_BROKER_URL`` or ``OMRUNTIME_RUNTIME``, in this order; the queues of
``-Q`` are the labels of the worker, ``default`` without one, and ``-c`` is the number of its slots.
"""

from __future__ import annotations

import os

from celery import Celery

from omruntime.config import runtime_url
from omruntime_celery.broker import app_for, app_like
from omruntime_celery.steps import join

__all__ = ["app", "worker_app"]


def worker_app(broker: str | Celery) -> Celery:
    """Return an app whose workers are hosts of omruntime, for the command ``celery -A module worker -Q gpu -c 2``.

    Args:
        broker: address of the broker; or an app of the user's, whose settings of broker, events and remote control
            are taken over. That app is not changed: its tasks stay with its own workers.
    """
    made = app_for(broker) if isinstance(broker, str) else app_like(broker)
    join(made)
    return made


def _broker() -> str:
    # The option --broker comes as this variable, and it goes before all that is set.
    if given := os.environ.get("CELERY_BROKER_URL"):
        return given
    url = runtime_url()
    return url if url.startswith("celery+") else "redis://127.0.0.1:6379/0"


app = worker_app(_broker())
