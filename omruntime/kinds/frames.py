"""`pandas.dfrows` and `pandas.seriesrows`: frames in columns; rows are appended without rewriting those before."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from omruntime.abc.kind import BlobReader, BlobWriter, Kind, Stored
from omruntime.errors import SerializationError
from omruntime.kinds.arrow import read_part, write_part
from omruntime.kinds.base import need, no_options
from omruntime.kinds.labels import NoFit, encode_labels, labels_of, shown
from omruntime.kinds.parts import Part, merged
from omruntime.kinds.pickles import load_pickle, write_pickle
from omruntime.kinds.plain import is_plain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PandasFrame", "PandasSeries"]


class PandasFrame(Kind):
    """DataFrames as Arrow files.

    A frame that Arrow would not give back exactly (columns of mixed objects, exotic types, labels that are not plain)
    is pickled and signed as a whole; its columns can be selected all the same, but all of it is read.
    """

    name: ClassVar[str] = "pandas.dfrows"
    prefixes: ClassVar[tuple[str, ...]] = ("data/",)

    def supports(self, obj: object, prefix: str) -> bool:
        """Tell whether it is exactly a DataFrame; a subclass is pickled, so that it comes back as one."""
        pandas = sys.modules.get("pandas")
        return pandas is not None and type(obj) is pandas.DataFrame

    def put(
        self, obj: Any, name: str, writer: BlobWriter, *, previous: Stored | None = None, **options: Any
    ) -> Stored:
        """Write a frame, or its rows behind those of ``previous``."""
        no_options(self.name, options)
        detail = _describe(obj)
        if previous is not None:
            _check_same(previous.detail, detail, name)
            detail = previous.detail
        part = {**_write(obj, name, writer), "level": 0}
        parts = [*(previous.detail["parts"] if previous else []), part]
        if previous is not None:
            parts = merged(parts, lambda tail: _join(tail, detail["width"], name, writer))
        rows = sum(each["rows"] for each in parts)
        return Stored({**detail, "parts": parts, "rows": rows}, tuple(each["blob"] for each in parts))

    def load(
        self,
        stored: Stored,
        reader: BlobReader,
        *,
        columns: list[int] | None = None,
        rows: tuple[int, int] | None = None,
        squeeze: bool = False,
        **options: Any,
    ) -> Any:
        """Load the frame or a part of it; a single column as a Series with ``squeeze``."""
        no_options(self.name, options)
        frame = _load(stored.detail, reader, columns, rows)
        return frame.iloc[:, 0] if squeeze and frame.shape[1] == 1 else frame


class PandasSeries(PandasFrame):
    """Series, stored as a frame of one column."""

    name: ClassVar[str] = "pandas.seriesrows"

    def supports(self, obj: object, prefix: str) -> bool:
        """Tell whether it is exactly a Series."""
        pandas = sys.modules.get("pandas")
        return pandas is not None and type(obj) is pandas.Series

    def put(
        self, obj: Any, name: str, writer: BlobWriter, *, previous: Stored | None = None, **options: Any
    ) -> Stored:
        """Write a series, or its values behind those of ``previous``."""
        frame = obj.to_frame(name=0)
        named = is_plain(obj.name)
        frame.attrs = dict(obj.attrs) if named else {**obj.attrs, "omruntime.name": obj.name}
        stored = super().put(frame, name, writer, previous=previous, **options)
        stored.detail.pop("columns", None)
        if previous is None:
            stored.detail["name"] = obj.name if named else None
        return stored

    def load(
        self,
        stored: Stored,
        reader: BlobReader,
        *,
        columns: list[int] | None = None,
        rows: tuple[int, int] | None = None,
        squeeze: bool = False,
        **options: Any,
    ) -> Any:
        """Load the series or some of its rows."""
        no_options(self.name, options)
        frame = _load(stored.detail, reader, None, rows)
        series = frame.iloc[:, 0]
        attrs = dict(frame.attrs)
        series.name = attrs.pop("omruntime.name", stored.detail["name"])
        series.attrs = attrs
        return series


def _describe(frame: pd.DataFrame) -> dict[str, Any]:
    """Return what holds for all parts of a frame."""
    try:
        labels = encode_labels(frame.columns)
    except NoFit:
        labels = None
    attrs = frame.attrs if is_plain(frame.attrs) else None
    return {"labels": labels, "columns": shown(frame.columns), "width": frame.shape[1], "attrs": attrs}


def _check_same(before: dict[str, Any], now: dict[str, Any], name: str) -> None:
    if before["labels"] is None or now["labels"] is None:
        raise SerializationError(
            f"cannot append to {name!r}: column labels of that type cannot be compared; put it whole"
        )
    if before["labels"] != now["labels"]:
        raise SerializationError(
            f"cannot append to {name!r}: it has the columns {', '.join(before['columns'])}, what is appended has "
            f"{', '.join(now['columns'])}; give both the same columns in the same order"
        )


def _write(frame: pd.DataFrame, name: str, writer: BlobWriter) -> dict[str, Any]:
    need("pyarrow", "data")
    try:
        encode_labels(frame.columns)
        if not is_plain(frame.attrs) or not frame.flags.allows_duplicate_labels:
            raise NoFit("attrs and flags")
        return write_part(frame, writer)
    except NoFit:
        return {"format": "pickle", "blob": write_pickle(frame, name, writer), "rows": len(frame), "batch": 0}


def _join(parts: list[Part], width: int, name: str, writer: BlobWriter) -> Part:
    return _write(_together([_read(each, width, writer, None, None) for each in parts], parts), name, writer)


def _load(
    detail: dict[str, Any], reader: BlobReader, columns: list[int] | None, rows: tuple[int, int] | None
) -> pd.DataFrame:
    need("pandas", "data")
    if detail["labels"] is None:
        # Labels that are not plain are known to the pickle alone, and nothing was ever appended to it.
        return _read(detail["parts"][0], detail["width"], reader, columns, rows, labelled=True)
    start = 0
    frames = []
    for part in detail["parts"]:
        within = _overlap(rows, start, part["rows"])
        start += part["rows"]
        if within is not None:
            frames.append(_read(part, detail["width"], reader, columns, None if rows is None else within))
    if not frames:
        frames = [_read(detail["parts"][0], detail["width"], reader, columns, (0, 0))]
    frame = _together(frames, detail["parts"], first=rows[0] if rows else 0)
    labels = labels_of(detail["labels"])
    frame = frame.set_axis(labels if columns is None else labels[columns], axis=1)
    if detail["attrs"] is not None:
        frame.attrs = dict(detail["attrs"])
    return frame


def _overlap(rows: tuple[int, int] | None, start: int, count: int) -> tuple[int, int] | None:
    if rows is None:
        return 0, count
    first, last = max(rows[0] - start, 0), min(rows[1] - start, count)
    return (first, last) if first < last else None


def _read(
    part: dict[str, Any],
    width: int,
    reader: BlobReader,
    columns: Sequence[int] | None,
    rows: tuple[int, int] | None,
    *,
    labelled: bool = False,
) -> pd.DataFrame:
    """Read some of a part; its columns are named by their place, so that parts fit together, unless ``labelled``."""
    if part["format"] == "arrow":
        return read_part(part, width, reader, columns, rows)
    frame: pd.DataFrame = load_pickle(part["blob"], reader)
    if not labelled:
        frame = frame.set_axis([str(place) for place in range(width)], axis=1)
    if columns is not None:
        frame = frame.iloc[:, list(columns)]
    return frame if rows is None else frame.iloc[slice(*rows)]


def _together(frames: list[pd.DataFrame], parts: list[dict[str, Any]], first: int = 0) -> pd.DataFrame:
    """Join parts; where all of them count their rows from 0, the whole goes on counting."""
    import pandas as pd

    if len(parts) == 1:
        return frames[0]
    frame = pd.concat(frames) if len(frames) > 1 else frames[0]
    counting = all(part.get("index", {}).get("range") == [0, part["rows"], 1] for part in parts)
    if counting and all(part["index"]["names"] == [None] for part in parts):
        frame.index = pd.RangeIndex(first, first + len(frame))
    return frame
