"""DataFrames and Series come back exactly, and a projection reads its columns only."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.extra import pandas as pdst

from omruntime.abc import Space, Store
from omruntime.errors import SerializationError
from omruntime.store import ObjectStore
from omruntime.store.records import decode

NOON = pd.Timestamp("2026-11-21 12:00:00")

COLUMNS: dict[str, Any] = {
    "int8": np.array([1, -2, 3], "int8"),
    "uint64": np.array([1, 2, 2**64 - 1], "uint64"),
    "float16": np.array([1.5, np.nan, -0.0], "float16"),
    "float32": np.array([1.5, np.nan, np.inf], "float32"),
    "bool": [True, False, True],
    "str": ["a", "é", ""],
    "str with None": pd.Series(["a", None, "b"]),
    "objects": pd.Series(["a", None, "b"], dtype=object),
    "objects with nan": pd.Series(["a", np.nan, "b"], dtype=object),
    "bytes": pd.Series([b"a", None, b"\xff"], dtype=object),
    "only None": pd.Series([None, None, None], dtype=object),
    "Int64": pd.array([1, None, 3], "Int64"),
    "Float64": pd.array([1.5, None, 3], "Float64"),
    "boolean": pd.array([True, None, False], "boolean"),
    "string": pd.array(["a", None, "c"], "string"),
    "category": pd.Categorical(["x", "y", None], categories=["y", "x", "z"], ordered=True),
    "category of int": pd.Categorical([3, 1, 3]),
    "category of intervals": pd.cut([1, 5, 9], bins=[0, 2, 6, 10]),
    "datetime": pd.DatetimeIndex(np.array(["2026-01-01", "NaT", "1900-01-01T01:02:03.123456"], "M8[us]")),
    "datetime in s": np.array(["2026-01-01", "NaT", "0001-01-01"], "M8[s]"),
    "datetime with zone": pd.date_range("2026-03-28", periods=3, tz="Europe/Zurich"),
    "datetime with offset": pd.to_datetime(["2026-01-01T00:00+05:30"] * 3),
    "timedelta": pd.TimedeltaIndex(np.array([1000, "NaT", -3], "m8[ms]")),
    "period": pd.period_range("2026-01", periods=3, freq="M"),
    "interval": pd.interval_range(0, 3),
    "sparse": pd.arrays.SparseArray([0, 0, 1]),
    "complex": [1j, 2.0, 3.0],
    "arrow": pd.array([1, 2, None], "int64[pyarrow]"),
    "mixed": pd.Series([1, "a", None], dtype=object),
    "numbers as objects": pd.Series([1, 2, 2**70], dtype=object),
    "lists": pd.Series([[1], [], [2, 3]], dtype=object),
    "dates": pd.Series([dt.date(2026, 1, 1)] * 3, dtype=object),
    "decimals": pd.Series([Decimal("1.10")] * 3, dtype=object),
    "nulls of two types": pd.Series(["a", None, np.nan], dtype=object),
    "half a surrogate": pd.Series(["\ud800", "a", "b"], dtype=object),
}


def stored_as(store: Store) -> str:
    detail = decode(store.scan(Space.OBJECTS, "", reverse=True, limit=1)[0][1]).detail
    return str(detail["parts"][0]["format"])


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_any_type_comes_back(kind: str, datasets: ObjectStore) -> None:
    frame = pd.DataFrame({"x": [1, 2, 3], kind: COLUMNS[kind]})
    meta = datasets.put(frame, "d")
    assert meta.kind == "pandas.dfrows"
    _same(datasets.get("d"), frame)
    _same(datasets.get(f"d[{kind}]"), frame[[kind]])
    _same(pd.concat(list(datasets.get("d#iterchunks:chunksize=2"))), pd.concat([frame[:2], frame[2:]]))
    series = frame[kind]
    assert datasets.put(series, "s").kind == "pandas.seriesrows"
    pd.testing.assert_series_equal(datasets.get("s"), series, check_exact=True)


def _same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_freq=True, check_column_type="exact")  # type: ignore[arg-type]
    for place in range(expected.shape[1]):
        if expected.dtypes.iloc[place].kind == "O":
            assert [*map(type, found.iloc[:, place])] == [*map(type, expected.iloc[:, place])]


@pytest.mark.parametrize(
    "kind", ["float32", "str", "objects", "Int64", "category", "datetime with zone", "timedelta", "string"]
)
def test_ordinary_columns_are_columnar_and_unsigned(kind: str, datasets: ObjectStore, store: Store) -> None:
    datasets.put(pd.DataFrame({kind: COLUMNS[kind]}), "d")
    assert stored_as(store) == "arrow"


INDEXES: dict[str, Any] = {
    "default": pd.RangeIndex(3),
    "range": pd.RangeIndex(10, 4, -2, name="n"),
    "text": pd.Index(["a", "b", "a"], name="key"),
    "int": pd.Index([3, 1, 2]),
    "float": pd.Index([0.5, -0.0, 1]),
    "datetime": pd.date_range("2026", periods=3, freq="D", name="t"),
    "datetime with zone": pd.date_range("2026-03-28", periods=3, freq="h", tz="Europe/Zurich"),
    "datetime without freq": pd.DatetimeIndex([NOON, NOON, NOON]),
    "timedelta": pd.timedelta_range("1s", periods=3),
    "period": pd.period_range("2026", periods=3, freq="Q"),
    "category": pd.CategoricalIndex(["a", "b", "a"]),
    "interval": pd.interval_range(0, 3, name="i"),
    "levels": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", None]),
    "levels of dates": pd.MultiIndex.from_product([pd.date_range("2026", periods=3), [1.5]]),
    "objects": pd.Index([1, "a", None], dtype=object),
    "tuple as name": pd.Index([1, 2, 3], name=("a", 1)),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_an_index_of_any_type_comes_back(kind: str, datasets: ObjectStore) -> None:
    frame = pd.DataFrame({"x": [1.5, 2, 3], "y": list("abc")}, index=INDEXES[kind])
    datasets.put(frame, "d")
    _same(datasets.get("d"), frame)
    _same(datasets.get("d[y]"), frame[["y"]])
    chunks = list(datasets.get("d[x]#iterchunks:chunksize=2"))
    assert [list(chunk.index) for chunk in chunks] == [list(frame.index[:2]), list(frame.index[2:])]
    series = frame["x"].rename(kind)
    datasets.put(series, "s")
    pd.testing.assert_series_equal(datasets.get("s"), series, check_freq=True)


LABELS: dict[str, Any] = {
    "none": pd.Index([], dtype="str"),
    "range": pd.RangeIndex(2),
    "named range": pd.RangeIndex(2, name="n"),
    "int": pd.Index([7, 3]),
    "float": pd.Index([0.5, 1.5]),
    "mixed": pd.Index([0, "y"], dtype=object),
    "duplicate": pd.Index(["a", "a"], name="dup"),
    "dates": pd.date_range("2026", periods=2, freq="MS"),
    "dates with zone": pd.date_range("2026", periods=2, freq="D", tz="UTC"),
    "timedeltas": pd.timedelta_range("1s", periods=2),
    "levels": pd.MultiIndex.from_product([["a"], [1, 2]], names=["l", "n"]),
    "levels of dates": pd.MultiIndex.from_product([pd.date_range("2026", periods=2), ["x"]]),
    "periods": pd.period_range("2026", periods=2, freq="Y"),
    "categories": pd.CategoricalIndex(["x", "y"]),
    "tuples": pd.Index([("a", 1), ("b", 2)], tupleize_cols=False),
    "objects": pd.Index(["a", None], dtype=object),
}


@pytest.mark.parametrize("rows", [0, 3])
@pytest.mark.parametrize("kind", LABELS)
def test_column_labels_of_any_type_come_back(kind: str, rows: int, datasets: ObjectStore) -> None:
    labels = LABELS[kind]
    frame = pd.DataFrame(np.arange(rows * len(labels), dtype="f8").reshape(rows, len(labels)), columns=labels)
    datasets.put(frame, "d")
    found = datasets.get("d")
    pd.testing.assert_frame_equal(found, frame)
    assert found.columns.identical(frame.columns)
    assert len(list(datasets.get("d#iterchunks:chunksize=2"))) == (rows + 1) // 2


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(), pd.DataFrame(index=[1, 2]), pd.DataFrame({"a": []}), pd.DataFrame(index=range(3))]
)
def test_empty_frames_come_back(frame: pd.DataFrame, datasets: ObjectStore) -> None:
    datasets.put(frame, "d")
    pd.testing.assert_frame_equal(datasets.get("d"), frame)
    datasets.put(frame, "d", append=True)
    assert len(datasets.get("d")) == 2 * len(frame)


def test_attrs_and_subclasses_come_back(datasets: ObjectStore) -> None:
    frame = pd.DataFrame({"x": [1]})
    frame.attrs = {"unit": "m", "nested": {"a": [1, None]}}
    datasets.put(frame, "d")
    assert datasets.get("d[x]").attrs == frame.attrs
    frame.attrs = {"unit": {1, 2}}
    datasets.put(frame, "d")
    assert datasets.get("d").attrs == frame.attrs
    series = pd.Series([1], name=("a", 1))
    series.attrs = {"unit": "m"}
    datasets.put(series, "s")
    assert (datasets.get("s").name, datasets.get("s").attrs) == (("a", 1), {"unit": "m"})
    assert datasets.put(Marked({"x": [1]}), "m").kind == "python.pickle"
    assert type(datasets.get("m")) is Marked


class Marked(pd.DataFrame):
    """A subclass, which comes back as one."""


def test_what_was_loaded_can_be_changed(datasets: ObjectStore) -> None:
    frame = pd.DataFrame({"x": np.arange(300_000.0), "y": 1, "z": "text"})
    datasets.put(frame, "d")
    for asked in ("d", "d[x]"):
        loaded = datasets.get(asked)
        loaded.loc[0, "x"] = 9
        loaded["x"].to_numpy(copy=True)[1] = 3
        assert loaded.loc[0, "x"] == 9
    pd.testing.assert_frame_equal(datasets.get("d"), frame)


def test_large_frames_span_batches(datasets: ObjectStore) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.random((700_000, 4)), columns=list("abcd"))
    frame["text"] = np.where(frame["a"] > 0.5, "high", "low")
    frame.index = pd.Index(rng.permutation(len(frame)))
    datasets.put(frame, "d")
    pd.testing.assert_frame_equal(datasets.get("d"), frame)
    start = 0
    for chunk in datasets.get("d[text,a]#iterchunks:chunksize=234567"):
        pd.testing.assert_frame_equal(chunk, frame[["text", "a"]].iloc[start : start + 234_567])
        start += len(chunk)
    assert start == len(frame)


class Counting:
    """A store that counts what is read of its blobs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def open_blob(self, name: str) -> BinaryIO:
        stream = self._store.open_blob(name)
        counting = self

        class Stream:
            def __getattr__(self, name: str) -> Any:
                return getattr(stream, name)

            def read(self, size: int = -1) -> bytes:
                data = stream.read(size)
                counting.read += len(data)
                return data

            def __enter__(self) -> Stream:
                return self

            def __exit__(self, *_exc: object) -> None:
                stream.close()

        return Stream()  # type: ignore[return-value]

    def read_blob(self, name: str) -> bytes:
        raise AssertionError("a projection reads no whole blob")


def test_a_projection_of_2_of_50_columns_reads_a_fraction_of_the_bytes(datasets: ObjectStore, store: Store) -> None:
    frame = pd.DataFrame(np.random.default_rng(1).random((50_000, 50)), columns=[f"c{i}" for i in range(50)])
    datasets.put(frame, "d")
    size = sum(info.size for info in store.blobs("o-"))
    counting = Counting(store)
    from tests.store.conftest import AUTH

    projected = ObjectStore(counting, "data/", bucket="tests", auth=AUTH).get("d[c7,c31]")  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(projected, frame[["c7", "c31"]])
    assert size > 20_000_000
    assert 800_000 <= counting.read < size / 20


def test_appended_rows_keep_order_types_and_index(datasets: ObjectStore) -> None:
    first = pd.DataFrame({"t": ["a"], "n": [1]}, index=pd.Index(["r1"], name="row"))
    second = pd.DataFrame({"t": ["b"], "n": [2.5]}, index=pd.Index(["r2"], name="row"))
    datasets.put(first, "d")
    datasets.put(second, "d", append=True)
    _same(datasets.get("d"), pd.concat([first, second]))
    _same(datasets.get("d[n]"), pd.concat([first, second])[["n"]])
    mixed = pd.DataFrame({"t": [["list"]], "n": [3]}, index=pd.Index(["r3"], name="row"))
    datasets.put(mixed, "d", append=True)
    _same(datasets.get("d"), pd.concat([first, second, mixed]))
    assert [len(chunk) for chunk in datasets.get("d#iterchunks:chunksize=2")] == [2, 1]
    with pytest.raises(SerializationError, match=r"has the columns t, n, what is appended has n, t"):
        datasets.put(first[["n", "t"]], "d", append=True)


def test_many_appends_leave_few_parts(datasets: ObjectStore, store: Store) -> None:
    for number in range(70):
        datasets.put(pd.DataFrame({"x": [number], "t": ["é"]}), "d", append=True)
    record = decode(store.scan(Space.OBJECTS, "", reverse=True, limit=1)[0][1])
    assert len(record.detail["parts"]) < 20
    assert len(record.blobs) == len({part["blob"] for part in record.detail["parts"]})
    pd.testing.assert_frame_equal(datasets.get("d"), pd.DataFrame({"x": range(70), "t": "é"}))
    for number in range(70):
        datasets.put(pd.Series([number], name="s"), "s", append=True)
    pd.testing.assert_series_equal(datasets.get("s"), pd.Series(range(70), name="s"))


_COLUMN = st.sampled_from(
    [
        st.integers(-(2**63), 2**63 - 1).map(lambda value: np.int64(value)),
        st.floats(width=32),
        st.text(max_size=4),
        st.one_of(st.none(), st.text(max_size=3)),
        st.booleans(),
        st.one_of(st.integers(), st.text(max_size=2), st.none()),
        st.datetimes(min_value=dt.datetime(1700, 1, 1), max_value=dt.datetime(2200, 1, 1)),
    ]
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_random_frames_come_back(datasets: ObjectStore, data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 5))
    names = data.draw(st.lists(st.one_of(st.text(max_size=3), st.integers(-2, 2), st.booleans()), max_size=4))
    columns = [pd.Series(data.draw(st.lists(data.draw(_COLUMN), min_size=rows, max_size=rows))) for _ in names]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(rows))
    frame.columns = pd.Index(names, dtype=object)
    if data.draw(st.booleans()):
        frame.index = data.draw(pdst.indexes(elements=st.integers(0, 9), min_size=rows, max_size=rows))
    datasets.put(frame, "d")
    found = datasets.get("d")
    _same(found, frame)
    assert found.columns.identical(frame.columns)
    if rows:
        size = data.draw(st.integers(1, rows))
        chunks = list(datasets.get(f"d#iterchunks:chunksize={size}"))
        assert sum(map(len, chunks)) == rows


_NUMBERS = st.one_of(
    npst.boolean_dtypes(), npst.integer_dtypes(), npst.unsigned_integer_dtypes(), npst.floating_dtypes(),
    npst.complex_number_dtypes(),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_series_come_back(datasets: ObjectStore, data: st.DataObject) -> None:
    series = pd.Series(data.draw(npst.arrays(_NUMBERS, st.integers(0, 5))))
    datasets.put(series, "s")
    pd.testing.assert_series_equal(datasets.get("s"), series)
