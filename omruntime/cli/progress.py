"""A bar for whatever takes longer than a second."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from omruntime.cli.meanwhile import meanwhile

__all__ = ["working"]

_PATIENCE = 1.0


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal, once a second has passed, that the block is at work and for how long."""
    if not sys.stderr.isatty():
        yield
        return
    with meanwhile(partial(_show, what), "omruntime-bar"):
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
