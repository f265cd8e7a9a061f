"""The command ``jobs``: notebooks, what became of their runs and of their tasks, and the failed ones once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from omruntime.cli.failures import ExitCode
from omruntime.cli.hints import hint
from omruntime.cli.notebooks import overview, runs_of, tasks_of
from omruntime.cli.output import print_json, print_table
from omruntime.cli.settings import Settings, common, pass_settings

if TYPE_CHECKING:
    from omruntime import Omega

__all__ = ["jobs"]

_LATEST = ""
"""What ``--restart`` without a group stands for."""
_ALL = "all"


@click.command(short_help="Tell about notebooks and their runs, run again what has failed.")
@click.argument("name", required=False)
@click.option(
    "--restart",
    metavar="[GROUP|all]",
    is_flag=False,
    flag_value=_LATEST,
    help="Run again what has failed of the mapped tasks: of the latest group, of GROUP, or of all.",
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Runs and tasks to list.")
@common
@pass_settings
def jobs(settings: Settings, name: str | None, restart: str | None, limit: int) -> None:
    """List notebooks with their latest runs; with NAME, the runs of one and the tasks that it was mapped to.

    --restart stands behind NAME. It runs those tasks again that have ended without success, or were never sent, with
    the notebook's current code, and waits for them.
    """
    if name is None and restart is not None:
        meant = f"jobs {restart} --restart" if restart else "jobs NAME --restart"
        raise click.UsageError(f"--restart is about the tasks of one notebook; say which: {meant}")
    with settings.opened() as om:
        if name is None:
            _list(settings, om)
        elif restart is None:
            _tell(settings, om, name, limit)
        else:
            _restart(settings, om, name, restart)


def _list(settings: Settings, om: Omega) -> None:
    notebooks = overview(om)
    if settings.json:
        print_json(notebooks)
        return
    columns = ("name", "runs", "last run", "status", "mapped tasks")
    how = f"put one with: {hint(settings, 'put', 'jobs', 'NAME', 'FILE.ipynb', objects=True)}"
    rows = [[each[column] for column in columns] for each in notebooks]
    print_table(columns, rows, empty=f"no notebooks in bucket {om.bucket} of {om.store.url}; {how}")


def _tell(settings: Settings, om: Omega, name: str, limit: int) -> None:
    meta = om.jobs.metadata(name)
    runs, count = runs_of(om, meta, limit)
    tasks = tasks_of(om.runtime.job(meta.name).list(), om)
    if settings.json:
        print_json({"name": meta.name, "runs": runs, "tasks": tasks[-limit:]})
        return
    print_table(*_shown(("results", "id", "status", "error"), runs), empty=f"{meta.name} was never run")
    _count_hidden(count - limit, "earlier runs", limit)
    if tasks:
        click.echo()
        print_table(*_shown(("task", "id", "status"), tasks[-limit:]), empty="")
        _count_hidden(len(tasks) - limit, "earlier tasks", limit)
        _point_at_failed(settings, tasks[-limit:])


def _count_hidden(count: int, what: str, limit: int) -> None:
    if count > 0:
        click.echo(f"... and {count} {what}; --limit {limit + count} lists all")


def _point_at_failed(settings: Settings, rows: list[dict[str, Any]]) -> None:
    failed = [row["id"] for row in rows if row["status"] == "FAILURE"]
    if failed:
        click.echo(f"\nwhat went wrong: {hint(settings, 'status', failed[0])}", err=True)


def _restart(settings: Settings, om: Omega, name: str, group: str) -> None:
    job = om.runtime.job(name)
    known = job.list()
    groups = list(dict.fromkeys(meta.attributes["task_group"] for meta in known))
    if group not in (_LATEST, _ALL, *groups):
        there = f"there are: {', '.join(groups)}" if groups else "it was never mapped: job(name).map([...]) does that"
        raise click.UsageError(f"notebook {name!r} has no group of tasks {group!r}; {there}")
    tasks = job.restart("*" if group == _ALL else group or None)
    try:
        if tasks and not settings.json:
            tasks.progress()
        for handle in tasks.collect():
            handle.future().exception()
    except KeyboardInterrupt:
        again = hint(settings, "jobs", name, objects=True)
        click.echo(f"\nwhat has become of the tasks, and what --restart runs again: {again}", err=True)
        raise
    rows = tasks_of(tasks, om)
    if settings.json:
        print_json(rows)
    else:
        which = f" of group {groups[-1] if group == _LATEST else group}" if group != _ALL and groups else ""
        empty = f"nothing to run again: no task{which} of notebook {name!r} has failed"
        print_table(*_shown(("task", "id", "status"), rows), empty=empty)
        _point_at_failed(settings, rows)
    if any(row["status"] != "SUCCESS" for row in rows):
        click.get_current_context().exit(int(ExitCode.FAILED))


def _shown(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[list[Any]]]:
    return columns, [[row[column] for column in columns] for row in rows]
