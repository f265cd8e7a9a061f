"""What is shown of tasks that are waited for: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import click

from omruntime.cli.board import Board
from omruntime.cli.meanwhile import meanwhile
from omruntime.cli.output import cell_text

__all__ = ["following"]

_INTERVAL = 0.1
_REFRESHES = 8


@contextmanager
def following(board: Board) -> Iterator[None]:
    """Show on stderr how the tasks of a board stand, for as long as the block runs and once more at its end."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        with Live(get_renderable=lambda: board, console=console, refresh_per_second=_REFRESHES):
            yield
        return
    with meanwhile(partial(_tell_changes, board), "omruntime-teller"):
        yield


def _tell_changes(board: Board, done: threading.Event) -> None:
    told: dict[str, tuple[str, int]] = {}
    over, pause = False, 0.0
    while not over:
        # After the end there is one more look, which is when it can be told.
        over, pause = done.wait(pause), _INTERVAL
        for row in board.rows():
            now = (row["status"], row["attempt"])
            if told.get(row["id"]) != now:
                told[row["id"]] = now
                click.echo(_line(row), err=True)


def _line(row: dict[str, object]) -> str:
    words = [f"task {row['id']} {row['status']}" + (f" on {row['worker']}" if row["worker"] else "")]
    if row["attempt"] != 1:
        words.append(f"attempt {row['attempt']}")
    if row["status"] not in ("PENDING", "STARTED") and row["seconds"] is not None:
        words.append(f"after {cell_text(row['seconds'])} s")
    return ", ".join(words)
