"""Our Dask beside Dask's own API (`submit`, `gather`, `map`) as it comes, a scheduler and two workers each."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.clusters import flat_figures, opened, our_workers, private, started
from benchmarks.engine import Goals, engine_figures, mapreduce_figure, small_figures
from benchmarks.report import Figure
from benchmarks.tasks import native_noop, native_total

__all__ = ["dask_figures", "scheduler_process"]

_GOALS = Goals(trip=0.5, bulk=0.67, into=1.0, out=1.25, predict=0.7)
_NEEDED = ("distributed", "omruntime_dask")
_START_LIMIT = 60


class _Dask:
    """Dask as its users have it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def submit(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Submit a function."""
        # Otherwise it would be run once, and its value taken for all that follow.
        get: Callable[[], Any] = self._client.submit(function, *args, pure=False).result
        return get

    def bulk(self, count: int) -> None:
        """Submit no-ops, and gather them."""
        self._client.gather([self._client.submit(native_noop, 1, pure=False) for _ in range(count)])

    def mapreduce(self, count: int) -> Any:
        """Map no-ops, and add up what they return."""
        maps = self._client.map(native_noop, range(count), pure=False)
        return self._client.submit(native_total, maps, pure=False).result()


def dask_figures(directory: Path, quick: bool) -> list[Figure]:
    """Return the figures of Dask; none where it is not installed."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"dask: not exercised, since there is no {', '.join(missing)} here")
        return []
    from distributed import Client
    from omruntime_dask import OmegaRuntimeDask

    with ExitStack() as stack:
        # Each side has a scheduler: Dask's own tasks would go to our workers too, and hold their slots.
        theirs = stack.enter_context(scheduler_process(directory / "native-scheduler"))
        stack.enter_context(_native_workers(directory / "native.log", theirs))
        client = stack.enter_context(Client(theirs, set_as_default=False))
        client.wait_for_workers(2, timeout=_START_LIMIT)
        native = _Dask(client)
        mine = stack.enter_context(scheduler_process(directory / "our-scheduler"))
        stack.enter_context(our_workers(directory / "ours.log", mine.replace("tcp", "dask", 1)))
        om = stack.enter_context(opened(directory / "dask", OmegaRuntimeDask(mine)))
        figures = [
            *engine_figures(om, native, _GOALS, directory, quick),
            mapreduce_figure(om, native, 0.6, 2 if quick else 7),
            *flat_figures(om, quick),
        ]
        alone = stack.enter_context(opened(directory / "dask-private", OmegaRuntimeDask(workers=2)))
        figures += map(private, small_figures(alone, native, _GOALS, quick))
    return figures


@contextmanager
def scheduler_process(place: Path, *options: str) -> Iterator[str]:
    """Have a scheduler, and its address."""
    place.mkdir()
    file, log = place / "scheduler.json", place / "log"
    where = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    with started(
        log,
        "distributed.cli.dask_scheduler",
        *where,
        "--no-dashboard",
        "--dashboard-address",
        "127.0.0.1:0",
        *options,
    ):
        yield _address(file, log)


def _address(file: Path, log: Path) -> str:
    deadline = time.monotonic() + _START_LIMIT
    while True:
        try:
            address: str = json.loads(file.read_text())["address"]
        except (OSError, ValueError):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Dask's scheduler does not start: {log.read_text()}") from None
            time.sleep(0.05)
        else:
            return address


@contextmanager
def _native_workers(log: Path, scheduler: str) -> Iterator[None]:
    command = ("distributed.cli.dask_worker", scheduler, "--nworkers", "2", "--nthreads", "1", "--no-dashboard")
    with started(log, *command, "--local-directory", str(log.parent)):
        yield
