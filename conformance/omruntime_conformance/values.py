"""Values that must survive a journey to a worker and back, and how to tell that one has not."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import math
import pathlib
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

from omruntime import Metadata
from omruntime_conformance.libraries import np, pd

__all__ = ["all_values", "differences"]


class Colour(enum.Enum):
    """A user's enumeration."""

    RED = 1
    GREEN = "g"


@dataclasses.dataclass
class Point:
    """A user's data class."""

    x: float
    label: str


def all_values() -> dict[str, Any]:
    """Return the values by a readable name."""
    return {**_plain(), **_containers(), **_times(), **_objects(), **_arrays(), **_frames()}


def _plain() -> dict[str, Any]:
    return {
        "none": None,
        "true": True,
        "int": -7,
        "uint64": 2**64 - 1,
        "int64": -(2**63),
        "beyond 64 bits": 2**64,
        "below 64 bits": -(2**63) - 1,
        "big int": 3**500,
        "float": 0.1,
        "minus zero": -0.0,
        "nan": math.nan,
        "inf": -math.inf,
        "subnormal": 5e-324,
        "complex": complex(1, math.nan),
        "empty text": "",
        "unicode": "häß 漢字 🎉 \u0000 \u202e",
        "lone surrogate": "\ud800",
        "long text": "ä" * 100_000,
        "bytes": bytes(range(256)),
        "bytearray": bytearray(b"abc"),
        "megabyte": b"\x00\xff" * 600_000,
    }


def _containers() -> dict[str, Any]:
    deep: Any = "bottom"
    for _ in range(60):
        deep = [deep]
    return {
        "empty": [(), [], {}, set(), frozenset()],
        "tuple": (1, (2, [3, (4,)])),
        "sets": [{1, 2}, frozenset({"a"}), {(1, 2), (3,)}],
        "keys": {1: "int", "1": "text", (1, 2): "tuple", None: "none", b"b": "bytes", 2.5: "float"},
        "bool keys": {True: "yes", False: "no"},
        "order": {"z": 1, "a": 2, "m": 3},
        "deep": deep,
        "mixed": [1, True, 1.0, "1", b"1", None],
        "collections": [OrderedDict(b=1, a=2), deque([1, 2], maxlen=5), Counter("aab"), defaultdict(list, k=[1])],
        "range and slice": [range(1, 10, 3), slice(1, None, 2)],
    }


def _times() -> dict[str, Any]:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    return {
        "naive": dt.datetime(2026, 10, 25, 2, 30, 0, 123456),
        "utc": dt.datetime(2026, 11, 20, tzinfo=dt.UTC),
        "zone": dt.datetime(2026, 7, 1, 12, tzinfo=berlin),
        "fold": dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=berlin),
        "offset": dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=45), "NPT")),
        "date": dt.date(1, 1, 1),
        "time": dt.time(23, 59, 59, 999999, tzinfo=dt.UTC),
        "timedelta": dt.timedelta(days=-1, microseconds=1),
    }


def _objects() -> dict[str, Any]:
    return {
        "decimal": decimal.Decimal("1.10"),
        "fraction": fractions.Fraction(1, 3),
        "uuid": uuid.UUID(int=2**127 + 5),
        "path": pathlib.PurePosixPath("/a/b"),
        "address": ipaddress.ip_address("::1"),
        "enum": [Colour.RED, Colour.GREEN],
        "dataclass": Point(1.5, "here"),
        "type": [int, Point],
        "exception": ValueError("a value", 3),
    }


def _arrays() -> dict[str, Any]:
    base = np.arange(12)
    codes = np.typecodes["AllInteger"] + np.typecodes["AllFloat"]
    arrays: dict[str, Any] = {f"dtype {code}": base.astype(code) for code in codes}
    arrays |= {
        "bool array": base % 2 == 0,
        "text array": np.array(["a", "längere", "漢"]),
        "bytes array": np.array([b"a", b"bc"]),
        "datetime64": np.array(["2026-11-20", "NaT"], dtype="datetime64[ns]"),
        "timedelta64": np.array([1, -5], dtype="timedelta64[s]"),
        "object array": np.array([1, "two", None, 3.0], dtype=object),
        "structured": np.array([(1, 2.5, "x")], dtype=[("i", "<i4"), ("f", "<f8"), ("s", "<U3")]),
        "big endian": base.astype(">i4"),
        "zero dimensions": np.array(3.5),
        "no rows": np.empty((0, 3), dtype=np.float32),
        "fortran": np.asfortranarray(base.reshape(3, 4)),
        "strided": base[::-2],
        "read only": np.broadcast_to(base, (2, 12)),
        "nan array": np.array([np.nan, np.inf, -0.0]),
        "scalars": [np.int8(3), np.float32(0.1), np.bool_(True), np.datetime64("2026-01-01"), np.str_("x")],
        "large array": np.random.default_rng(1).random((500, 300)),
    }
    return arrays


def _frames() -> dict[str, Any]:
    zoned = pd.date_range("2026-10-24", periods=3, freq="D", tz="Europe/Berlin")
    frame = pd.DataFrame(
        {
            "int8": np.array([1, 2, 3], dtype=np.int8),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "float": [0.1, np.nan, np.inf],
            "text": ["a", None, "ü"],
            "category": pd.Categorical(["lo", "hi", "lo"], categories=["lo", "mid", "hi"], ordered=True),
            "zoned": zoned,
            "period": pd.period_range("2026-01", periods=3, freq="M"),
            "delta": pd.to_timedelta([1, 2, 3], unit="s"),
            "object": [[1], {"a": 2}, None],
        },
        index=pd.Index(["x", "y", "z"], name="key"),
    )
    index = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["letter", "number"])
    columns = pd.MultiIndex.from_tuples([("top", 1), ("top", 2)])
    return {
        "frame": frame,
        "multi index": pd.DataFrame(np.arange(8).reshape(4, 2), index=index, columns=columns),
        "empty frame": pd.DataFrame({"a": pd.Series(dtype="float32"), "b": pd.Series(dtype="datetime64[ns, UTC]")}),
        "duplicate columns": pd.DataFrame([[1, 2.0]], columns=["a", "a"]),
        "integer columns": pd.DataFrame({0: [1], 1: [2]}),
        "series": pd.Series([1.5, None], index=pd.date_range("2026-01-01", periods=2, freq="h"), name="s"),
        "interval index": pd.Series([1, 2], index=pd.interval_range(0, 2)),
        "timestamp": [pd.Timestamp("2026-11-20 12:00:00.123456789", tz="Asia/Tokyo"), pd.Timedelta("1ns"), pd.NaT],
    }


def differences(expected: Any, actual: Any, where: str = "value") -> str:
    """Describe the first difference in type or value; empty where there is none."""
    if type(expected) is not type(actual):
        return f"{where}: {type(expected).__name__} became {type(actual).__name__}"
    if _is_of_libraries(expected) and isinstance(expected, pd.DataFrame | pd.Series | np.ndarray):
        return _array_differences(expected, actual, where)
    if isinstance(expected, dict):
        return _dict_differences(expected, actual, where)
    if isinstance(expected, list | tuple | deque):
        if len(expected) != len(actual):
            return f"{where}: {len(expected)} items became {len(actual)}"
        pairs = zip(expected, actual, strict=True)
        return next(filter(None, (differences(a, b, f"{where}[{n}]") for n, (a, b) in enumerate(pairs))), "")
    return _scalar_differences(expected, actual, where)


def _array_differences(expected: Any, actual: Any, where: str) -> str:
    try:
        if isinstance(expected, pd.DataFrame):
            pd.testing.assert_frame_equal(expected, actual, check_exact=True, check_freq=False)
        elif isinstance(expected, pd.Series):
            pd.testing.assert_series_equal(expected, actual, check_exact=True, check_freq=False)
        else:
            assert expected.dtype == actual.dtype, f"{expected.dtype} became {actual.dtype}"
            np.testing.assert_array_equal(actual, expected, strict=True)
    except AssertionError as exc:
        return f"{where}: {exc}"
    return ""


def _dict_differences(expected: dict[Any, Any], actual: dict[Any, Any], where: str) -> str:
    kinds = [(type(key), key) for key in expected]
    if kinds != [(type(key), key) for key in actual]:
        return f"{where}: keys {list(expected)} became {list(actual)}"
    return next(filter(None, (differences(expected[key], actual[key], f"{where}[{key!r}]") for key in expected)), "")


def _scalar_differences(expected: Any, actual: Any, where: str) -> str:
    if isinstance(expected, BaseException):
        return differences(expected.args, actual.args, f"{where}.args")
    if isinstance(expected, Metadata):
        # The same version of the same object; what it says of runs is put together anew by each reader.
        return differences([expected.name, expected.uid], [actual.name, actual.uid], where)
    if _equals_only_itself(expected) and hasattr(expected, "__dict__"):
        return differences(vars(expected), vars(actual), where)
    if isinstance(expected, dt.datetime) and not _is_of_libraries(expected):
        same = (expected, expected.fold, str(expected.tzinfo)) == (actual, actual.fold, str(actual.tzinfo))
    elif isinstance(expected, float | complex) or (_is_of_libraries(expected) and _is_number_or_none(expected)):
        # The text of a number tells nan from nan, and zero from minus zero, which equality does not.
        same = repr(expected) == repr(actual)
    else:
        same = bool(expected == actual)
    return "" if same else f"{where}: {expected!r:.80} became {actual!r:.80}"


def _is_of_libraries(value: object) -> bool:
    """Tell whether a value is numpy's or pandas': only then is it worth to import them."""
    return any(kind.__module__.partition(".")[0] in ("numpy", "pandas") for kind in type(value).__mro__)


def _is_number_or_none(value: object) -> bool:
    return isinstance(value, np.generic) or value is pd.NaT


def _equals_only_itself(value: object) -> bool:
    return not any("__eq__" in vars(kind) for kind in type(value).__mro__[:-1])
