"""Celery as its users have it: ``celery -A benchmarks.native_celery worker -c 2`` runs the tasks of that side."""

from __future__ import annotations

import os

from celery import Celery

from benchmarks.tasks import native_give, native_noop, native_predict, native_take, native_total

__all__ = ["app", "tasks"]

_broker = os.environ.get("BENCHMARK_REDIS", "")
app = Celery("native", broker=_broker, backend=_broker)
# Arrays need pickle; all else is as Celery has it.
app.conf.update(accept_content=["json", "pickle"], result_serializer="pickle")
tasks = {
    function.__name__: app.task(function, name=function.__name__, serializer=serializer)
    for function, serializer in (
        (native_noop, "json"),
        (native_total, "json"),
        (native_give, "json"),
        (native_take, "pickle"),
        (native_predict, "pickle"),
    )
}
"""By the names of the functions."""
