"""The preview of a value: the first rows of what has rows, else its text."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from omruntime.pictures.model import Picture, Section, Table, Text
from omruntime.pictures.pictured import Pictured
from omruntime.pictures.texts import clipped, pretty

__all__ = ["preview"]

_ROWS = 5
_COLUMNS = 10
_CELL = 60


def preview(value: Any, title: str = "value") -> Section:
    """Return what to show of a value; the libraries of frames are not imported for it."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.Series):
        name = value.name if value.name is not None else ""
        return _frame(value.to_frame(name), f"{title}: Series of {_many(len(value), 'row')}, {value.dtype}")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return _frame(value, f"{title}: {_many(len(value), 'row')}, {_many(len(value.columns), 'column')}")
    if isinstance(value, Pictured):
        with suppress(Exception):  # What cannot be looked at now has a text all the same.
            return _embedded(value._picture(), title)  # noqa: SLF001 - drawn by the one who asks
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and shape and dtype is not None:
        title = f"{title}: {type(value).__name__} of {' by '.join(map(str, shape))}, {dtype}"
    return Text(title, pretty(value))


def _embedded(picture: Picture, title: str) -> Table:
    facts = [(name, text) for name, text in picture.facts if text]
    return Table(f"{title}: {picture.what} {picture.title}", ("", ""), facts)


def _frame(frame: Any, title: str) -> Table:
    head = frame.iloc[:_ROWS, :_COLUMNS]
    more = ["…"] if len(frame.columns) > _COLUMNS else []
    rows = [
        [_cell(label), *map(_cell, row), *more]
        for label, row in zip(head.index, head.itertuples(index=False), strict=True)
    ]
    columns = ["", *map(str, head.columns), *more]
    if len(frame) > _ROWS:
        rows.append(["…"] * len(columns))
    return Table(title, columns, rows)


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else clipped(str(value), 1)
    return text if len(text) <= _CELL else f"{text[: _CELL - 2]} …"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
