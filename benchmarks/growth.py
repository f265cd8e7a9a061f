"""What a Dask cluster keeps of tasks that are over: ``python -m benchmarks.growth [--tasks N]``.

Nothing may grow with the number of tasks: neither with that of one name, nor of names, nor of times without any.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.clusters import opened, our_workers
from benchmarks.dask import scheduler_process
from benchmarks.tasks import noop
from omruntime import Omega

__all__ = ["Kept", "kept", "some_tasks"]

Kept = dict[str, float]
_AT_ONCE = 250
_ALONE = 50
"""Of so many tasks one runs alone, after a time in which there were none."""
_IDLE = 0.2
"""Seconds, in which all that is over is let go."""


def some_tasks(om: Omega, count: int, before: int = 0) -> None:
    """Run so many tasks, half of them of one name, the others each of its own, by numbers that follow ``before``."""
    for first in range(before, before + count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, before + count))
        for number in numbers[1::2]:
            om.scripts.put(noop, f"noop-{_letters(number)}")
        names = [f"noop-{_letters(number)}" if number % 2 else "noop" for number in numbers]
        for handle in [om.runtime.script(name).run(1) for name in names]:
            handle.get()
        for _ in range(len(names) // _ALONE):
            time.sleep(_IDLE)
            om.runtime.script("noop").run(1).get()


def _letters(number: int) -> str:
    """Return a number as letters, which Dask takes for a part of the name."""
    return "".join(chr(ord("g") + int(digit)) for digit in str(number))


def kept(om: Omega, client: Any) -> Kept:
    """Return what scheduler, workers and client have, all that grows with memory (MB); ``client`` is not of ours."""
    engine = om.runtime.backend
    ours = getattr(engine, "_engine", engine)
    workers = client.run(_of_worker).values()
    return {
        **{f"scheduler: {name}": count for name, count in client.run_on_scheduler(_of_scheduler).items()},
        **{f"workers: {name}": sum(each[name] for each in workers) for name in next(iter(workers))},
        "client: futures": len(ours.client.futures),
        "client: expected": len(ours._answers._expected),
        "client: MB": _megabytes(),
    }


def _of_scheduler(dask_scheduler: Any) -> Kept:
    spans = dask_scheduler.extensions["spans"].spans.values()
    topics = dask_scheduler._broker._topics.values()
    names = ("tasks", "task_groups", "task_prefixes", "unrunnable", "computations", "task_metadata", "erred_tasks")
    return {
        **{name: len(getattr(dask_scheduler, name)) for name in names},
        "topics": len(topics),
        "events": sum(len(topic.events) for topic in topics),
        "spans": len(spans),
        "groups of spans": sum(len(span.groups) for span in spans),
        "metrics": len(dask_scheduler.cumulative_worker_metrics),
        "transitions": len(dask_scheduler.transition_log),
        "MB": _megabytes(),
    }


def _of_worker(dask_worker: Any) -> Kept:
    from omruntime_dask.worker import _stations

    return {
        "data": len(dask_worker.data),
        "tasks": len(dask_worker.state.tasks),
        "held": len(_stations[dask_worker.address]._held),
        "metrics": len(dask_worker.digests_total),
        "transitions": len(dask_worker.state.log),
        "MB": _megabytes(),
    }


def _megabytes() -> float:
    import psutil

    return round(float(psutil.Process().memory_info().rss) / 2**20, 1)


def main() -> None:
    """Print what is kept after none, a tenth and all of the tasks."""
    from distributed import Client
    from omruntime_dask import OmegaRuntimeDask

    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--preload", help="module for the scheduler, like omruntime_dask.scheduler")
    given = parser.parse_args()
    os.environ.setdefault("OMRUNTIME_KEY", "growth")
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="omruntime-growth-")))
        address = stack.enter_context(
            scheduler_process(place / "scheduler", *(["--preload", given.preload] if given.preload else []))
        )
        stack.enter_context(our_workers(place / "worker.log", address))
        om = stack.enter_context(opened(place / "store", OmegaRuntimeDask(address)))
        client = stack.enter_context(Client(address, set_as_default=False))
        columns, done = [], 0
        for upto in (given.tasks // 100, given.tasks // 10, given.tasks):
            some_tasks(om, upto - done, done)
            done = upto
            time.sleep(1)
            columns.append(kept(om, client))
            print(f"{upto} tasks are over", flush=True)
    for name in columns[0]:
        print(f"{name:28}", *(f"{each[name]:>10g}" for each in columns))


if __name__ == "__main__":
    main()
