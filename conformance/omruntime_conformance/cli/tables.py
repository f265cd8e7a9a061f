"""The commands that read reports: ``matrix`` and ``diff``."""

from __future__ import annotations

from pathlib import Path

import click

from omruntime_conformance.cli.files import written
from omruntime_conformance.comparison import differences
from omruntime_conformance.matrix import MatrixError, matrix_page
from omruntime_conformance.registry import load_rules
from omruntime_conformance.report import Report, read_report

__all__ = ["diff", "matrix"]

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("reports", nargs=-1, required=True, metavar="REPORT...", type=_FILE)
@click.option("-o", "--output", metavar="FILE", type=_FILE, help="Write to this file.")
@click.option("--check", is_flag=True, help="Write nothing, and fail when the file is not what would be written.")
def matrix(reports: tuple[Path, ...], output: Path | None, check: bool) -> None:
    """Write the matrix of whole runs, in Markdown: a column for each REPORT, a row for each rule."""
    try:
        page = matrix_page([_read(path) for path in reports], load_rules())
    except MatrixError as exc:
        raise click.UsageError(str(exc)) from exc
    written(page, output, check=check)


@click.command()
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
def diff(old: Path, new: Path) -> None:
    """Say which rules end otherwise in the NEW report than in the OLD one; exit code 1 when any does."""
    lines = differences(_read(old), _read(new))
    for line in lines:
        click.echo(line)
    if lines:
        raise click.exceptions.Exit(1)
    click.echo("no rule ends otherwise")


def _read(path: Path) -> Report:
    try:
        return read_report(path)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
