"""Commands on tasks: result and status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from omruntime.cli.board import COLUMNS, Board, task_row
from omruntime.cli.output import print_facts, print_json, print_table, print_value
from omruntime.cli.progress import working
from omruntime.cli.settings import Settings, common, pass_settings
from omruntime.cli.waiting import await_value
from omruntime.pictures.texts import clock

if TYPE_CHECKING:
    from omruntime import AsyncResult, Omega

__all__ = ["find", "result", "status"]

_LOG_LINES = 10


@click.command(short_help="Print the value of a task.")
@click.argument("id")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait at the most.")
@common
@pass_settings
def result(settings: Settings, id: str, timeout: float | None) -> None:
    """Wait for the task ID, submitted by any process, and print its value."""
    with settings.opened() as om:
        handle = find(om, id)
        with working(f"waiting for {id}"):
            value = await_value(handle, timeout)
        if settings.json:
            print_json({"id": id, "status": handle.status, "value": value})
        else:
            print_value(value)


@click.command(short_help="Tell about a task, or list tasks.")
@click.argument("id", required=False)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Open and ended tasks, or steps, to list.",
)
@click.option("--lines", type=click.IntRange(min=0), default=_LOG_LINES, show_default=True, help="Lines of output.")
@common
@pass_settings
def status(settings: Settings, id: str | None, limit: int, lines: int) -> None:
    """Tell all about the task ID, with a canvas' steps; without one, list open tasks and those that ended last."""
    with settings.opened() as om:
        if id is not None:
            _tell(settings, om, id, lines, limit)
            return
        tasks = _open(om, limit) + _ended(om, limit)
        if settings.json:
            print_json(tasks)
            return
        rows = [[each[name] for name in COLUMNS] for each in tasks]
        print_table(COLUMNS, rows, empty=f"no tasks in {om.store.url}")


def _tell(settings: Settings, om: Omega, id: str, lines: int, limit: int) -> None:
    from omruntime.ledger import CANVAS_NAMES

    facts = _facts(om, id, lines)
    steps = _steps(om, id) if facts["name"].startswith(CANVAS_NAMES) else []
    if settings.json:
        print_json({**facts, "steps": steps} if steps else facts)
        return
    print_facts({**facts, **_readable(facts)})
    if steps:
        click.echo()
        print_table(COLUMNS, [[each[name] for name in COLUMNS] for each in steps[:limit]], empty="")
    if len(steps) > limit:
        click.echo(f"... and {len(steps) - limit} steps more; --limit {len(steps)} lists all")


def _steps(om: Omega, id: str) -> list[dict[str, Any]]:
    """Return the steps of a canvas, in the order written."""
    from omruntime.client.canvas_results import CanvasResult

    return Board(om, CanvasResult(id, om.session, None).steps()).rows()


def find(om: Omega, id: str) -> AsyncResult:
    """Return the handle of a task; no engine is looked at.

    Raises:
        UnknownTask: there is none of this id.
        ResultExpired: its record is gone.
    """
    from omruntime.client.finding import found_by_id

    om.session.ledger.state(id)
    return found_by_id(id, om.session, None)


def _facts(om: Omega, id: str, lines: int) -> dict[str, Any]:
    handle = find(om, id)
    # Asking for the status ends a task whose worker is gone, so that the facts read below are true.
    over = handle.ready()
    state = om.session.ledger.state(id)
    error = handle.result if over and state.status != "SUCCESS" else None
    logs = handle.logs().splitlines()[-lines:] if lines else []
    return {
        **task_row(id, state),
        "label": state.request.label if state.request is not None else "",
        "error": f"{type(error).__name__}: {error}" if error is not None else "",
        "logs": "\n".join(logs),
    }


def _readable(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: clock(facts[name]) for name in ("submitted", "started", "ended")}


def _open(om: Omega, limit: int) -> list[dict[str, Any]]:
    """Return the newest open tasks, after those whose runtime has gone were ended."""
    session = om.session
    ids = [task for task, _ in session.ledger.open_tasks()][-limit:]
    for task, state in session.ledger.states(ids).items():
        if not isinstance(state, Exception):
            session.watcher.attend(task, state)
    states = session.ledger.states(reversed(ids))
    return [
        task_row(task, state)
        for task, state in states.items()
        if not isinstance(state, Exception) and state.end is None
    ]


def _ended(om: Omega, limit: int) -> list[dict[str, Any]]:
    """Return the tasks that were submitted last and have ended, newest first."""
    ledger = om.session.ledger
    ids = list(dict.fromkeys(task for task, _ in ledger.recent_ends(2 * limit)))
    states = ledger.states(ids)
    ended = [(task, state) for task, state in states.items() if not isinstance(state, Exception) and state.end]
    return [task_row(task, state) for task, state in ended[:limit]]
