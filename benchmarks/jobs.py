"""A notebook of one cell beside `nbclient` itself, in a process that has imported it."""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from benchmarks.report import Figure, seconds
from omruntime import Omega, OmegaRuntimeLocal

__all__ = ["jobs_figures"]

_LEISURE = 2.0
"""Seconds between two runs in which a worker can start the next kernel ahead."""


def jobs_figures(directory: Path, quick: bool) -> list[Figure]:
    """Return the figures of notebooks."""
    logging.getLogger("traitlets").setLevel(logging.CRITICAL)
    rounds = 3 if quick else 11
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    store = f"sqlite:///{directory / 'jobs'}"
    native = [_native(notebook) for _ in range(rounds + 1)][1:]
    cold = [_first_run(store, notebook) for _ in range(rounds)]
    with Omega(store=store, runtime=OmegaRuntimeLocal(workers=1)) as om:
        job = om.runtime.job("one")
        job.run().get()
        row = [seconds(lambda: job.run().get()) for _ in range(rounds)]
        warm = []
        for _ in range(rounds):
            time.sleep(_LEISURE)
            warm.append(seconds(lambda: job.run().get()))
    plain = statistics.median(native) * 1e3
    return [
        Figure("notebook of one cell, the worker's first", "ms", statistics.median(cold) * 1e3, plain, 1.2),
        Figure("notebook of one cell, one after the other", "ms", statistics.median(row) * 1e3, plain, 1.0),
        Figure("notebook of one cell, kernel warm", "ms", statistics.median(warm) * 1e3, plain, 1.0),
    ]


def _native(notebook: Any) -> float:
    return seconds(lambda: asyncio.run(NotebookClient(notebook).async_execute()))


def _first_run(store: str, notebook: Any) -> float:
    with Omega(store=store, runtime=OmegaRuntimeLocal(workers=1)) as om:
        om.jobs.put(notebook, "one")
        assert om.runtime.workers()
        return seconds(lambda: om.runtime.job("one").run().get())
