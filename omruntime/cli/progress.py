"""A bar for whatever takes longer than a second."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from omruntime.cli.meanwhile import meanwhile

if TYPE_CHECKING:
    from omruntime.store.copying import Tally

__all__ = ["copying", "working"]

_PATIENCE = 1.0
_INTERVAL = 0.1


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal, once a second has passed, that the block is at work and for how long."""
    with _beside(partial(_show, what)):
        yield


@contextmanager
def copying(tally: Tally) -> Iterator[None]:
    """Show on a terminal, once a second has passed, how far the copy is that the block makes."""
    with _beside(partial(_show_tally, tally)):
        yield


@contextmanager
def _beside(show: Callable[[threading.Event], None]) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    with meanwhile(show, "omruntime-bar"):
        yield


def _show(what: str, done: threading.Event) -> None:
    if done.wait(_PATIENCE):
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(escape(what)), BarColumn(bar_width=30), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task("", total=None)
        done.wait()


def _show_tally(tally: Tally, done: threading.Event) -> None:
    if done.wait(_PATIENCE):
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30)),
        *(DownloadColumn(), TimeRemainingColumn()),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(tally.stage, total=None)
        while True:
            total = tally.total or None
            reached = min(tally.done, tally.total)
            text = f"{tally.stage} ({tally.objects} objects, {tally.tasks} tasks)"
            progress.update(bar, description=text, total=total, completed=reached)
            if done.wait(_INTERVAL):
                return
