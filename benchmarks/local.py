"""The local engine beside `concurrent.futures.ProcessPoolExecutor` (spawn), two workers each, in turns."""

from __future__ import annotations

import pickle
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from benchmarks.report import Figure, median_of, seconds
from benchmarks.sides import both_sides
from benchmarks.tasks import give, native_give, native_noop, native_predict, native_take, noop, take
from omruntime import AsyncResult, Omega

__all__ = ["local_figures"]


def _alternating(rounds: int, ours: Callable[[], float], native: Callable[[], float]) -> tuple[float, float]:
    """Return the medians of both sides, measured in turns so that both see the same machine."""
    pairs = [(ours(), native()) for _ in range(rounds)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def local_figures(directory: Path, quick: bool) -> list[Figure]:
    """Return the figures of the local engine."""
    with both_sides(directory / "local", noop, take, give) as (om, pool):
        return [
            *_small(om, pool, quick),
            *_large(om, pool, quick),
            _predict(om, pool, directory, quick),
        ]


def _small(om: Omega, pool: ProcessPoolExecutor, quick: bool) -> list[Figure]:
    script = om.runtime.script("noop")
    trips, count, rounds = (200, 300, 2) if quick else (500, 2000, 5)
    for _ in range(100):
        script.run(1).get()
        pool.submit(native_noop, 1).result()
    trip = _alternating(
        rounds,
        lambda: median_of(trips, lambda: script.run(1).get()),
        lambda: median_of(trips, lambda: pool.submit(native_noop, 1).result()),
    )

    def ours_in_bulk() -> None:
        for handle in [script.run(1) for _ in range(count)]:
            handle.get()

    def native_in_bulk() -> None:
        for future in [pool.submit(native_noop, 1) for _ in range(count)]:
            future.result()

    bulk = _alternating(rounds, lambda: seconds(ours_in_bulk) / count, lambda: seconds(native_in_bulk) / count)
    return [
        Figure("no-op round trip p50", "us", trip[0] * 1e6, trip[1] * 1e6, 1.0),
        Figure(f"{count} no-ops, per task", "us", bulk[0] * 1e6, bulk[1] * 1e6, 1.5),
    ]


def _large(om: Omega, pool: ProcessPoolExecutor, quick: bool) -> list[Figure]:
    array = np.random.default_rng(1).random(10 * 1024 * 1024 // 8)
    rounds = 5 if quick else 15
    into, out = om.runtime.script("take"), om.runtime.script("give")
    figures = []
    # What was fetched is forgotten, as the pool forgets it: otherwise the disk's speed would be measured.
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "10 MB in": (lambda: _fetched(into.run(array)), lambda: pool.submit(native_take, array).result()),
        "10 MB out": (lambda: _fetched(out.run()), lambda: pool.submit(native_give, None).result()),
    }
    for name, (ours, native) in pairs.items():
        for _ in range(2):
            ours()
            native()
        mine, theirs = _alternating(rounds, partial(seconds, ours), partial(seconds, native))
        figures.append(Figure(name, "ms", mine * 1e3, theirs * 1e3, 1.0))
    return figures


def _fetched(handle: AsyncResult) -> None:
    handle.get()
    handle.forget()


def _predict(om: Omega, pool: ProcessPoolExecutor, directory: Path, quick: bool) -> Figure:
    rng = np.random.default_rng(1)
    trees = 30 if quick else 110
    forest = RandomForestClassifier(trees, random_state=1).fit(rng.random((4000, 10)), rng.integers(0, 10, 4000))
    om.models.put(forest, "forest")
    path = directory / "forest.pkl"
    path.write_bytes(pickle.dumps(forest))
    rows = rng.random((10, 10))
    model = om.runtime.model("forest")
    for _ in range(20):
        model.predict(rows).get()
        pool.submit(native_predict, str(path), rows).result()
    trips = 20 if quick else 60
    ours, native = _alternating(
        3,
        lambda: median_of(trips, lambda: model.predict(rows).get()),
        lambda: median_of(trips, lambda: pool.submit(native_predict, str(path), rows).result()),
    )
    return Figure(f"predict, {path.stat().st_size >> 20} MB forest, warm", "ms", ours * 1e3, native * 1e3, 1.1)
