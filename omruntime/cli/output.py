"""What is printed: values, tables for people, JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

__all__ = ["cell_text", "print_facts", "print_json", "print_table", "print_value", "seconds", "table", "to_plain"]

_UNBOUNDED = 1000
"""Columns of a table that no terminal shows: nothing in it may be cut."""


def to_plain(value: Any) -> Any:
    """Return a value as what JSON can say; what it cannot becomes its text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(item) for item in value]
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    return _foreign(value)


def _foreign(value: Any) -> Any:
    """Return what objects of libraries hold, which need not be imported for that."""
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    if kind == "omruntime.Metadata":
        fields = ("name", "bucket", "prefix", "kind", "tag", "version", "created", "modified", "attributes")
        return {name: to_plain(getattr(value, name)) for name in fields}
    if kind == "pandas.DataFrame":
        return to_plain(value.to_dict(orient="records"))
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    return str(value)


def print_json(value: Any) -> None:
    """Print a value as JSON on one line."""
    click.echo(json.dumps(to_plain(value), ensure_ascii=False))


def print_value(value: Any) -> None:
    """Print a task's value for people."""
    if isinstance(value, (dict, list, tuple)):
        click.echo(json.dumps(to_plain(value), ensure_ascii=False, indent=2))
    else:
        click.echo(str(value))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows under their headings, or what to say where there are none."""
    listed = list(rows)
    if not listed:
        click.echo(empty)
        return
    from rich.console import Console

    width = None if sys.stdout.isatty() else _UNBOUNDED
    Console(width=width).print(table(columns, listed))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """Return a rich table; ids are never cut, status words are coloured."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from omruntime.pictures import state_of

    built = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in columns:
        built.add_column(
            name,
            justify="right" if name == "seconds" else "left",
            no_wrap=name in ("id", "status", "seconds"),
            overflow="fold",
        )
    for row in rows:
        built.add_row(*(Text(text, style=state_of(text).style) for text in map(cell_text, row)))
    return built


def cell_text(value: object) -> str:
    """Return a value as a table or a list of facts shows it."""
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print names and values, one to a line; what is empty is left out."""
    shown = {name: cell_text(value) for name, value in facts.items() if value not in (None, "", [])}
    width = max(map(len, shown), default=0)
    for name, text in shown.items():
        first, *more = text.splitlines() or [""]
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {first}")
        for line in more:
            click.echo(" " * (width + 2) + line)


def seconds(started: float, ended: float) -> float | None:
    """Return how long something took, or None where it has not begun."""
    return round(max(0.0, ended - started), 3) if started else None
