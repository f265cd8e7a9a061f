"""The two sides of a comparison on one machine: ours, and the standard library's pool of processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omruntime import Omega, OmegaRuntimeLocal

__all__ = ["both_sides"]


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
