"""The app of Celery's own worker command: ``celery -A omruntime_celery.worker worker -Q gpu -c 2``.

The broker is that of ``--broker``, ``OMRUNTIME_RUNTIME`` or ``CELERY_BROKER_URL``; the queues of ``-Q`` are the
labels of the worker, ``default`` without one, and ``-c`` is the number of its slots.
"""

from __future__ import annotations

import os

from celery import Celery

from omruntime.config import runtime_url
from omruntime_celery.broker import app_for
from omruntime_celery.station import join

__all__ = ["app", "worker_app"]


def worker_app(url: str) -> Celery:
    """Return an app whose workers are hosts of omruntime for the broker at ``url``."""
    app = app_for(url)
    join(app)
    return app


def _broker() -> str:
    url = runtime_url()
    if url.startswith("celery+"):
        return url
    return os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")


app = worker_app(_broker())
