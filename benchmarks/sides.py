"""The two sides of a comparison on one machine: ours, and the standard library's pool of processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.tasks import native_noop, native_total
from omruntime import Omega, OmegaRuntimeLocal

__all__ = ["Pool", "both_sides"]


class Pool:
    """The standard library's pool, as the native side of the figures that every engine has."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def submit(self, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        """Submit a function."""
        return self._pool.submit(function, *args).result

    def bulk(self, count: int) -> None:
        """Submit no-ops, and wait for all."""
        for each in [self._pool.submit(native_noop, 1) for _ in range(count)]:
            each.result()

    def mapreduce(self, count: int) -> Any:
        """Add up what no-ops return."""
        maps = [self._pool.submit(native_noop, number) for number in range(count)]
        return self._pool.submit(native_total, [each.result() for each in maps]).result()


@contextmanager
def both_sides(store: Path, *functions: Any) -> Iterator[tuple[Omega, ProcessPoolExecutor]]:
    """Open both with two workers, and put functions as scripts of their names."""
    spawn = multiprocessing.get_context("spawn")
    with (
        Omega(store=f"sqlite:///{store}", runtime=OmegaRuntimeLocal(workers=2)) as om,
        ProcessPoolExecutor(2, mp_context=spawn) as pool,
    ):
        for function in functions:
            om.scripts.put(function, function.__name__)
        yield om, pool
