"""Engines with workers of their own: their processes, an Omega on them, and the figures that only they have."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import Figure, seconds
from benchmarks.tasks import give, noop, take, total
from omruntime import Omega, OmegaRuntime, errors

__all__ = ["flat_figures", "opened", "our_workers", "private", "started"]

_REPOSITORY = Path(__file__).parent.parent


@contextmanager
def started(log: Path, *command: str, **env: str) -> Iterator[None]:
    """Have a module run as a program, what it prints in a file."""
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
def our_workers(log: Path, url: str) -> Iterator[None]:
    """Have a worker of two slots."""
    with started(log, "omruntime", "worker", "--runtime", url, "--concurrency", "2"):
        yield


@contextmanager
def opened(store: Path, runtime: OmegaRuntime) -> Iterator[Omega]:
    """Open a new store, with what the figures need in it, once a worker has run something."""
    with Omega(f"sqlite:///{store}", runtime) as om:
        for function in (noop, take, give, total):
            om.scripts.put(function, function.__name__)
        with warnings.catch_warnings():
            # The worker is on its way.
            warnings.simplefilter("ignore", errors.NoSuchLabelWarning)
            om.runtime.script("noop").run(1).get()
        yield om


def private(figure: Figure) -> Figure:
    """Say of a figure that it is one of a private cluster."""
    return Figure(f"{figure.name}, private", figure.unit, figure.ours, figure.native, figure.goal)


def flat_figures(om: Omega, quick: bool) -> list[Figure]:
    """Return what a task takes among more of them, beside one among few."""
    counts = (100, 300, 1000) if quick else (100, 1_000, 10_000)

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
