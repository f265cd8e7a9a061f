"""The figures that every engine has, beside what its users would write without us, measured in turns."""

from __future__ import annotations

import pickle
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from benchmarks.report import Figure, median_of, seconds
from benchmarks.tasks import native_give, native_noop, native_predict, native_take
from omruntime import AsyncResult, Omega

__all__ = ["Goals", "Native", "engine_figures", "mapreduce_figure", "small_figures"]

_MAPS = 200


class Native(Protocol):
    """The engine as its users have it."""

    def submit(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Submit one of the native functions, and return what waits for its value."""

    def bulk(self, count: int) -> None:
        """Submit so many no-ops, then have the values of all."""

    def mapreduce(self, count: int) -> Any:
        """Return the sum of so many numbers that no-ops were given."""


@dataclass(frozen=True, slots=True)
class Goals:
    """The ratios of ours to native that are not to be passed."""

    trip: float
    bulk: float
    into: float
    out: float
    predict: float


def engine_figures(om: Omega, native: Native, goals: Goals, directory: Path, quick: bool) -> list[Figure]:
    """Return all of them; ``om`` has the scripts noop, take and give."""
    return [
        *small_figures(om, native, goals, quick),
        *_large(om, native, goals, quick),
        _predict(om, native, goals, directory, quick),
    ]


def _alternating(rounds: int, ours: Callable[[], float], native: Callable[[], float]) -> tuple[float, float]:
    """Return the medians of both sides, measured in turns so that both see the same machine."""
    pairs = [(ours(), native()) for _ in range(rounds)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def small_figures(om: Omega, native: Native, goals: Goals, quick: bool) -> list[Figure]:
    """Return what no-ops take, one after the other and many at a time."""
    script = om.runtime.script("noop")
    trips, count, rounds = (200, 300, 2) if quick else (500, 2000, 5)
    for _ in range(100):
        script.run(1).get()
        native.submit(native_noop, 1)()
    trip = _alternating(
        rounds,
        lambda: median_of(trips, lambda: script.run(1).get()),
        lambda: median_of(trips, lambda: native.submit(native_noop, 1)()),
    )

    def ours_in_bulk() -> None:
        for handle in [script.run(1) for _ in range(count)]:
            handle.get()

    bulk = _alternating(
        rounds, lambda: seconds(ours_in_bulk) / count, lambda: seconds(lambda: native.bulk(count)) / count
    )
    return [
        Figure("no-op round trip p50", "us", trip[0] * 1e6, trip[1] * 1e6, goals.trip),
        Figure(f"{count} no-ops, per task", "us", bulk[0] * 1e6, bulk[1] * 1e6, goals.bulk),
    ]


def _large(om: Omega, native: Native, goals: Goals, quick: bool) -> list[Figure]:
    array = np.random.default_rng(1).random(10 * 1024 * 1024 // 8)
    rounds = 5 if quick else 15
    into, out = om.runtime.script("take"), om.runtime.script("give")
    figures = []
    # What was fetched is forgotten, as a pool forgets it: otherwise the disk's speed would be measured.
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object], float]] = {
        "10 MB in": (lambda: _fetched(into.run(array)), lambda: native.submit(native_take, array)(), goals.into),
        "10 MB out": (lambda: _fetched(out.run()), lambda: native.submit(native_give, None)(), goals.out),
    }
    for name, (ours, theirs, goal) in pairs.items():
        for _ in range(2):
            ours()
            theirs()
        mine, others = _alternating(rounds, partial(seconds, ours), partial(seconds, theirs))
        figures.append(Figure(name, "ms", mine * 1e3, others * 1e3, goal))
    return figures


def _fetched(handle: AsyncResult) -> None:
    handle.get()
    handle.forget()


def _predict(om: Omega, native: Native, goals: Goals, directory: Path, quick: bool) -> Figure:
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
        native.submit(native_predict, str(path), rows)()
    trips = 20 if quick else 60
    ours, theirs = _alternating(
        3,
        lambda: median_of(trips, lambda: model.predict(rows).get()),
        lambda: median_of(trips, lambda: native.submit(native_predict, str(path), rows)()),
    )
    return Figure(
        f"predict, {path.stat().st_size >> 20} MB forest, warm", "ms", ours * 1e3, theirs * 1e3, goals.predict
    )


def mapreduce_figure(om: Omega, native: Native, goal: float, rounds: int) -> Figure:
    """Return what a mapreduce takes; ``om`` has the scripts noop and total."""

    def ours() -> None:
        with om.runtime.mapreduce() as crt:
            script = crt.script("noop")
            for number in range(_MAPS):
                script.run(number)
            crt.script("total").run()
            result = crt.run()
        assert result.get()["result"] == sum(range(_MAPS))

    def theirs() -> None:
        assert native.mapreduce(_MAPS) == sum(range(_MAPS))

    mine, others = _alternating(rounds, partial(seconds, ours), partial(seconds, theirs))
    return Figure(f"mapreduce of {_MAPS} no-ops", "ms", mine * 1e3, others * 1e3, goal)
