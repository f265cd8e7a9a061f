"""The local engine beside `concurrent.futures.ProcessPoolExecutor` (spawn), two workers each, in turns."""

from __future__ import annotations

from pathlib import Path

from benchmarks.engine import Goals, engine_figures
from benchmarks.report import Figure
from benchmarks.sides import Pool, both_sides
from benchmarks.tasks import give, noop, take

__all__ = ["local_figures"]

_GOALS = Goals(trip=1.0, bulk=1.5, into=1.0, out=1.0, predict=1.1)


def local_figures(directory: Path, quick: bool) -> list[Figure]:
    """Return the figures of the local engine."""
    with both_sides(directory / "local", noop, take, give) as (om, pool):
        return engine_figures(om, Pool(pool), _GOALS, directory, quick)
