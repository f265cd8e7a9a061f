"""The demo on the screen: what happens, the table of tasks, and what to type next."""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from omruntime.cli.board import Board
from omruntime.cli.demo.notebook import CHECK
from omruntime.cli.demo.story import Story
from omruntime.cli.hints import hint, shown
from omruntime.cli.output import print_json
from omruntime.cli.settings import Settings
from omruntime.config import runtime_url, store_url

if TYPE_CHECKING:
    from rich.console import Console

    from omruntime import AsyncResult, Omega, OmegaRuntime

__all__ = ["next_commands", "play"]

_WIDEST = 1000


def play(settings: Settings) -> None:
    """Run the demo and show it; with ``--json`` only the table, as JSON."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _WIDEST, quiet=settings.json, highlight=False)
    began = time.monotonic()
    with settings.opened(_runtime(settings)) as om:
        board = Board(om)
        story = Story(om, store_url(settings.store), board, lambda line: _tell(console, line))
        _begin(console, om)
        with _live(console, board):
            predicted = story.models()
        canvas = story.canvas()
        if not settings.json:
            canvas.progress()
        story.reduced(canvas)
        if settings.json:
            print_json(Board(om, [*board.handles, *canvas.steps()]).rows())
        console.print(board, canvas, "")
        _end(console, settings, predicted, time.monotonic() - began)


def _runtime(settings: Settings) -> OmegaRuntime | None:
    """Return local workers that are two at least, so that two fits go on at the same time; None for other engines."""
    if settings.runtime or runtime_url() != "local://":
        return None
    from omruntime import OmegaRuntimeLocal

    return OmegaRuntimeLocal(workers={"default": max(2, min(4, os.cpu_count() or 1))})


def _begin(console: Console, om: Omega) -> None:
    console.print(f"[bold]omruntime demo[/bold]: real data, in bucket [bold]{om.bucket}[/bold] of")
    console.print(om.store.url, style="dim", markup=False, soft_wrap=True)
    console.print()


def _live(console: Console, board: Board) -> AbstractContextManager[object]:
    from rich.live import Live

    if not console.is_terminal or console.quiet:
        return nullcontext()
    return Live(get_renderable=lambda: board, console=console, refresh_per_second=8, transient=True)


def _tell(console: Console, line: str) -> None:
    from rich.markup import escape

    verb, _, rest = line.partition(" ")
    console.print(f"[green]✓[/green] [bold]{verb}[/bold] {escape(rest.strip())}")


def _end(console: Console, settings: Settings, predicted: AsyncResult, seconds: float) -> None:
    console.print(f"Done in {seconds:.0f} s. All of it is still there: in a new process, try\n")
    for command, comment in next_commands(settings, predicted.id):
        console.print(f"  {command}", markup=False, soft_wrap=True, style="bold cyan", end="")
        console.print(f"  # {comment}", markup=False, soft_wrap=True, style="dim")
    console.print("\nor the same in Python:\n")
    for line in _in_python(settings):
        console.print(f"  {line}", markup=False, soft_wrap=True, style="bold cyan")


def next_commands(settings: Settings, task: str) -> list[tuple[str, str]]:
    """Return commands that work after the demo, each with what it does."""
    predict = ("run", "model", "cancer", "predict", "cancer-new[^target]")
    return [
        (hint(settings, "ls", objects=True), "what is stored"),
        (hint(settings, "status"), "what ran"),
        (hint(settings, "result", task), "a value by the id of its task"),
        (hint(settings, *predict, objects=True, engine=True), "predict again"),
        (hint(settings, "run", "job", CHECK, "-p", "digit=5", objects=True, engine=True), "check another digit"),
        (hint(settings, "jobs", CHECK, objects=True), "what became of the notebook's runs"),
    ]


def _in_python(settings: Settings) -> list[str]:
    given = {"store": shown(settings.store), "runtime": shown(settings.runtime), "bucket": settings.bucket}
    arguments = ", ".join(f"{name}={value!r}" for name, value in given.items() if value)
    return [
        "from omruntime import Omega",
        f"om = Omega({arguments})",
        "om.runtime.model('digits').predict('digits-new[^target]').get()",
    ]
