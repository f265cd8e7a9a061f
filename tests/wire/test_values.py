"""Values: whatever goes in comes out equal, of the same types, and writable."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omruntime.errors import SerializationError
from omruntime.wire import decode_value, encode_value

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
special = st.complex_numbers() | st.decimals() | st.datetimes(timezones=st.timezones()) | st.fractions() | st.uuids()
hashable = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
values = st.recursive(
    plain | special,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=20,
)


def same(left: Any, right: Any) -> bool:
    """Tell whether two values are equal with all their types; nan equals nan, -0.0 does not equal 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, decimal.Decimal):
        return bool(left.as_tuple() == right.as_tuple())
    if isinstance(left, dt.datetime):
        return bool(left == right and str(left) == str(right))
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


@given(values)
def test_random_nested_values_round_trip(value: Any) -> None:
    assert same(decode_value(encode_value(value)), value)


@pytest.mark.parametrize(
    "value",
    [2**63 - 1, 2**63, -(2**63), 2**200, True, (1,), [()], {1: 2}, {"a": (1, 2)}, float("inf"), "\udcff", range(3)],
)
def test_values_that_plain_formats_change(value: Any) -> None:
    copy = decode_value(encode_value(value))
    assert same(copy, value)


def test_large_arrays_are_not_copied_and_come_back_writable() -> None:
    array = np.arange(100_000.0)
    head, buffer = encode_value({"x": array})
    assert memoryview(head).nbytes < 1000
    assert np.shares_memory(np.frombuffer(buffer), array)
    copy = decode_value([head, bytearray(buffer)])["x"]
    copy[0] = 7.0
    assert array[0] == 0.0


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_keep_dtype_and_order(order: Any) -> None:
    array = np.arange(20_000, dtype=">i4").reshape(100, 200, order=order)
    copy = decode_value([bytearray(part) for part in encode_value(array)])
    np.testing.assert_array_equal(copy, array)
    assert (copy.dtype, copy.flags["F_CONTIGUOUS"]) == (array.dtype, array.flags["F_CONTIGUOUS"])


def test_arrays_that_are_not_contiguous_travel_too() -> None:
    array = np.arange(40_000.0).reshape(200, 200)[::2, ::3]
    np.testing.assert_array_equal(decode_value([bytearray(part) for part in encode_value(array)]), array)


def test_frames_keep_index_and_dtypes() -> None:
    frame = pd.DataFrame(
        {"a": pd.array([1, None], dtype="Int64"), "b": pd.Categorical(["x", "y"]), "c": ["é", None]},
        index=pd.date_range("2026-01-01", periods=2, tz="Europe/Zurich"),
    )
    pd.testing.assert_frame_equal(decode_value(encode_value(frame)), frame)


class Locked:
    """Holds what nothing can pickle."""

    def __init__(self) -> None:
        self.inner = {"generator": (number for number in range(3))}


def test_what_cannot_be_serialised_is_named() -> None:
    with pytest.raises(SerializationError, match="generator") as caught:
        encode_value([1, Locked()], "an argument")
    assert caught.value.type_name == "generator"
    assert str(caught.value).startswith("an argument cannot be serialised")
