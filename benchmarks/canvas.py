"""Canvases on the local engine, two workers, beside the same work done by hand with `ProcessPoolExecutor` (spawn)."""

from __future__ import annotations

import statistics
import threading
from pathlib import Path

from benchmarks.engine import mapreduce_figure
from benchmarks.report import Figure, median_of, seconds
from benchmarks.sides import Pool, both_sides
from benchmarks.tasks import forever, native_noop, noop, total
from omruntime import Omega

__all__ = ["canvas_figures"]


def canvas_figures(directory: Path, quick: bool) -> list[Figure]:
    """Return the figures of canvases."""
    rounds, many = (2, 1_000) if quick else (7, 10_000)
    with both_sides(directory / "canvas", noop, total, forever) as (om, pool):
        om.runtime.script("noop").run(1).get()
        pool.submit(native_noop, 1).result()
        return [
            mapreduce_figure(om, Pool(pool), 1.5, rounds),
            _flat(om, "parallel", many),
            _flat(om, "sequence", many),
            _step(om, rounds),
            _cancel(om, rounds),
        ]


def _run(om: Omega, kind: str, count: int) -> float:
    """Return the seconds for each step of a canvas of so many."""

    def work() -> None:
        with getattr(om.runtime, kind)() as crt:
            script = crt.script("noop")
            for number in range(count):
                script.run(number)
            result = crt.run()
        result.get()

    return seconds(work) / count


def _flat(om: Omega, kind: str, many: int) -> Figure:
    few = statistics.median(_run(om, kind, 100) for _ in range(5))
    return Figure(f"{kind}: a step of {many} / of 100", "us", _run(om, kind, many) * 1e6, few * 1e6, 1.0)


def _step(om: Omega, rounds: int) -> Figure:
    """Return what a step of a sequence takes beside a plain call; a step may add 1 ms."""
    script = om.runtime.script("noop")
    plain = statistics.median(median_of(50, lambda: script.run(1).get()) for _ in range(rounds))
    step = statistics.median(_run(om, "sequence", 100) for _ in range(rounds))
    return Figure("sequence: a step / a plain call", "us", step * 1e6, plain * 1e6, 1 + 1e-3 / plain)


def _cancel(om: Omega, rounds: int) -> Figure:
    """Return how long both slots need to take the next task once their running ones are cancelled; at most 1 s."""

    def freed() -> float:
        running = [om.runtime.script("forever").run() for _ in range(2)]
        started = threading.Event()
        while any(each.status == "PENDING" for each in running):
            started.wait(0.01)

        def cancel() -> None:
            for each in running:
                each.cancel()
            om.runtime.script("noop").run(1).get()

        return seconds(cancel)

    return Figure(
        "cancel: until the slot works again / 1 s",
        "ms",
        statistics.median(freed() for _ in range(rounds)) * 1e3,
        1e3,
        1.0,
    )
