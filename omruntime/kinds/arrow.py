"""DataFrames as Arrow files: written batch by batch, read by column and by row; what is not exact does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from omruntime.abc.kind import BlobReader, BlobWriter
from omruntime.kinds.base import is_file, need
from omruntime.kinds.labels import NoFit, plain_names

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_part", "write_part"]

_BATCH_BYTES = 16 << 20


class _Sink:
    """A file for Arrow to write to, whose content is taken out as it comes."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[Any] = []

    def write(self, data: Any) -> int:
        self._pieces.append(data)
        return len(data)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        """Do nothing: `take` hands out all there is."""

    def take(self) -> Iterator[Any]:
        pieces, self._pieces = self._pieces, []
        yield from pieces


def write_part(frame: pd.DataFrame, writer: BlobWriter) -> dict[str, Any]:
    """Write the rows and the index of a DataFrame, without its column labels, and return what `read_part` needs.

    Raises:
        NoFit: it would not come back exactly.
        MissingExtra: pyarrow is not installed.
    """
    pa = need("pyarrow", "data")
    index, levels = _split_index(frame.index)
    flat = frame.set_axis([str(place) for place in range(frame.shape[1])], axis=1)
    if levels is not None:
        levels = levels.set_axis(flat.index)
        flat = _joined(flat, levels)
    texts = {name: _nulls_of(flat[name]) for name in flat.columns if flat[name].dtype == object}
    schema = _schema(pa, flat, texts)
    batch = _rows_in_a_batch(flat)
    try:
        blob = writer.write(_batches(pa, flat, schema, batch))
    except (pa.ArrowException, UnicodeEncodeError, TypeError, OverflowError) as exc:
        raise NoFit(str(exc)) from exc
    return {"format": "arrow", "blob": blob, "rows": len(frame), "batch": batch, "index": index, "texts": texts}


def _split_index(index: pd.Index[Any]) -> tuple[dict[str, Any], pd.DataFrame | None]:
    import pandas as pd

    names = plain_names(index)
    if isinstance(index, pd.RangeIndex):
        return {"range": [index.start, index.stop, index.step], "names": names}, None
    levels = pd.DataFrame({f"i{level}": index.get_level_values(level) for level in range(index.nlevels)})
    if isinstance(index, pd.MultiIndex):
        return {"levels": index.nlevels, "freq": [_freq(level) for level in index.levels], "names": names}, levels
    return {"levels": 0, "freq": [_freq(index)], "names": names}, levels


def _freq(index: pd.Index[Any]) -> str | None:
    import pandas as pd

    return index.freqstr if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) else None


def _joined(flat: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    plain = pd.RangeIndex(len(flat))
    return pd.concat([flat.set_axis(plain), levels.set_axis(plain)], axis=1)


def _nulls_of(column: pd.Series[Any]) -> list[str]:
    """Return type and nulls of a column of objects that are all texts or all bytes; anything else does not fit."""
    import pandas as pd

    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "empty":
        kind = "string"
    if kind not in ("string", "bytes"):
        raise NoFit(f"a column of objects ({kind})")
    nulls = column[column.isna()]
    if all(each is None for each in nulls):
        return [kind, "None"]
    if all(type(each) is float for each in nulls):
        return [kind, "nan"]
    raise NoFit("a column of objects with nulls of several types")


def _schema(pa: Any, flat: pd.DataFrame, texts: dict[str, list[str]]) -> Any:
    try:
        schema = pa.Schema.from_pandas(flat.iloc[:0], preserve_index=False)
        for name, (kind, _nulls) in texts.items():
            field = pa.field(name, pa.large_string() if kind == "string" else pa.large_binary())
            schema = schema.set(schema.get_field_index(name), field)
        back = pa.Table.from_pandas(flat.iloc[:0], schema=schema, preserve_index=False).to_pandas()
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError, AttributeError) as exc:
        raise NoFit(str(exc)) from exc
    for name in flat.columns:
        if name not in texts and back[name].dtype != flat[name].dtype:
            raise NoFit(f"a column of type {flat[name].dtype}")
    return schema


def _rows_in_a_batch(flat: pd.DataFrame) -> int:
    if not len(flat):
        return 1
    sample = flat.iloc[:1000]
    width = int(sample.memory_usage(index=False, deep=True).sum()) // len(sample)
    return max(1, _BATCH_BYTES // max(1, width))


def _batches(pa: Any, flat: pd.DataFrame, schema: Any, batch: int) -> Iterator[Any]:
    sink = _Sink()
    with pa.ipc.new_file(pa.PythonFile(sink, mode="w"), schema) as file:
        # A frame without rows has a batch as well: it holds the categories.
        for start in range(0, max(1, len(flat)), batch):
            rows = pa.Table.from_pandas(flat.iloc[start : start + batch], schema=schema, preserve_index=False)
            file.write_batch(pa.RecordBatch.from_arrays(list(map(_in_one, rows.columns)), schema=schema))
            yield from sink.take()
    yield from sink.take()


def _in_one(column: Any) -> Any:
    # Columns that pandas has joined come in several chunks, a batch has one.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def read_part(
    part: dict[str, Any], width: int, reader: BlobReader, columns: Sequence[int] | None, rows: tuple[int, int] | None
) -> pd.DataFrame:
    """Read a part that `write_part` wrote.

    Args:
        part: what it returned.
        width: how many columns there are.
        reader: where the blob is.
        columns: positions of those wanted, None for all; only they are read.
        rows: first row and the one after the last, None for all.
    """
    pa = need("pyarrow", "data")
    wanted = list(range(width)) if columns is None else list(columns)
    distinct = sorted(set(wanted))
    levels = [*range(width, width + max(1, part["index"]["levels"]))] if "levels" in part["index"] else []
    with reader.open(part["blob"]) as stream:
        # A part is read piece by piece, so that the rest stays where it is; rows of a file are mapped in either case.
        in_pieces = columns is not None if rows is None else not is_file(stream)
        source = stream if in_pieces else pa.py_buffer(reader.read(part["blob"]))
        frame = _frame(_table(pa, source, distinct + levels, part, rows), part)
    index = _index(frame, part, rows)
    # A table without columns knows nothing of its rows.
    frame = frame.set_axis(index) if len(frame.columns) else _empty(index)
    places = {place: where for where, place in enumerate(distinct)}
    return frame.iloc[:, [places[place] for place in wanted]]


def _table(
    pa: Any, source: BinaryIO | Any, fields: list[int], part: dict[str, Any], rows: tuple[int, int] | None
) -> Any:
    options = pa.ipc.IpcReadOptions(included_fields=fields) if fields else pa.ipc.IpcReadOptions()
    file = pa.ipc.open_file(source, options=options)
    first, last = 0, file.num_record_batches
    if rows is not None:
        first, last = rows[0] // part["batch"], min(last, max(1, -(-rows[1] // part["batch"])))
    table = pa.Table.from_batches([file.get_batch(place) for place in range(first, last)])
    if rows is not None:
        start = rows[0] - first * part["batch"]
        table = table.slice(start, rows[1] - rows[0])
    return table


def _frame(table: Any, part: dict[str, Any]) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    for name, (_kind, nulls) in part["texts"].items():
        if name in table.column_names:
            values = table.column(name).to_numpy()
            if nulls == "nan":
                values[[each is None for each in values]] = float("nan")
            frame[name] = _objects(values, frame)
    return frame


def _empty(index: pd.Index[Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(index=index, columns=pd.Index([], dtype="str"))


def _objects(values: Any, frame: pd.DataFrame) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(values, index=frame.index, dtype=object)


def _index(frame: pd.DataFrame, part: dict[str, Any], rows: tuple[int, int] | None) -> pd.Index[Any]:
    import pandas as pd

    encoded = part["index"]
    names = encoded["names"]
    if "range" in encoded:
        start, stop, step = encoded["range"]
        whole = pd.RangeIndex(start, stop, step, name=names[0])
        return whole if rows is None else whole[slice(*rows)]
    levels: list[pd.Index[Any]] = [pd.Index(frame[f"i{level}"]) for level in range(max(1, encoded["levels"]))]
    if encoded["levels"]:
        several = pd.MultiIndex.from_arrays(levels, names=names)
        regular: list[Any] = [
            _with_freq(level, freq) for level, freq in zip(several.levels, encoded["freq"], strict=True)
        ]
        return several.set_levels(regular, verify_integrity=False)
    named: pd.Index[Any] = _with_freq(levels[0], encoded["freq"][0]).rename(names[0])
    return named


def _with_freq(index: pd.Index[Any], freq: str | None) -> pd.Index[Any]:
    import pandas as pd

    if freq is None or not isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        return index
    try:
        return type(index)(index, freq=freq)
    except ValueError:
        # Some rows alone need not be regular.
        return index
