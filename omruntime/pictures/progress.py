"""A bar for work that is counted: in a notebook, on a terminal, and as lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from omruntime.pictures.place import NotebookDisplay, in_notebook

__all__ = ["Count", "follow", "polled"]

_INTERVAL = 0.2
"""Seconds between two looks, or two drawings in a notebook."""
_LINES = 10
"""Lines that are printed at the most, beside the first and those for failures, where nothing can be redrawn."""


@dataclass(frozen=True, slots=True)
class Count:
    """How far some work is."""

    done: int
    """Parts that are over, however they ended."""
    total: int
    failed: int = 0
    """Parts that are over without success."""

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.done >= self.total

    def __str__(self) -> str:
        return f"{self.done} of {self.total}" + (f", {self.failed} failed" if self.failed else "")


def polled(
    count: Callable[[], Count], changed: threading.Event | None = None, interval: float = _INTERVAL
) -> Iterator[Count]:
    """Yield what ``count`` returns until nothing is left to do: whenever it has changed, or an interval is over.

    Args:
        count: looks how far it is.
        changed: set by whoever knows that there is something new to see; it is cleared here.
        interval: seconds between two looks where nobody says so.
    """
    changed = changed or threading.Event()
    while True:
        # Cleared before the look, so that what happens meanwhile asks for another one.
        changed.clear()
        now = count()
        yield now
        if now.over:
            return
        changed.wait(interval)


def follow(title: str, counts: Iterable[Count]) -> None:
    """Show how far some work is, for as long as there are counts; an interrupt ends the watching, not the work."""
    if in_notebook():
        _in_notebook(title, counts)
    elif sys.stderr.isatty():
        _on_terminal(title, counts)
    else:
        _as_lines(title, counts)


def _in_notebook(title: str, counts: Iterable[Count]) -> None:
    from omruntime.pictures.html import bar

    display = NotebookDisplay()
    drawn, due, latest = None, 0.0, None
    for latest in counts:
        if latest != drawn and (latest.over or time.monotonic() >= due):
            display.show(bar(title, latest.done, latest.total, latest.failed), f"{title}: {latest}")
            drawn, due = latest, time.monotonic() + _INTERVAL
    if latest is not None and latest != drawn:
        display.show(bar(title, latest.done, latest.total, latest.failed), f"{title}: {latest}")


def _on_terminal(title: str, counts: Iterable[Count]) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from omruntime.pictures.texts import presentable

    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[far]}"),
        TextColumn("{task.fields[failed]}", style="red"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(presentable(title), total=None, far="", failed="")
        for now in counts:
            failed = f"{now.failed} failed" if now.failed else ""
            progress.update(
                task, completed=now.done, total=now.total, far=f"{now.done} of {now.total}", failed=failed
            )


def _as_lines(title: str, counts: Iterable[Count]) -> None:
    told: tuple[int, int] | None = None
    for now in counts:
        # A line for each tenth of the way, and for each failure as long as those are few.
        step = (now.done * _LINES // max(now.total, 1), min(now.failed, _LINES))
        if step != told or (now.over and now.total == 0):
            sys.stderr.write(f"{title}: {now}\n")
            told = step
