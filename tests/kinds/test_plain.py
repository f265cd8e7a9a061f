"""Plain values come back exactly; what is not plain is pickled and signed."""

from __future__ import annotations

import datetime as dt
import sys
import threading
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omruntime.errors import SerializationError
from omruntime.kinds.plain import is_plain
from omruntime.store import ObjectStore


class Point(NamedTuple):
    """A tuple that must stay one."""

    x: int
    y: int


PLAIN: list[Any] = [
    None, True, 0, -(2**63), 2**64 - 1, 1.5, float("inf"), "", "é\U0001f600", b"",
    b"\x00\xff", bytearray(b"ab"), [], {},
    [1, [2, {"k": [None]}]], {1: "a", "b": 2, None: 3, 1.5: 4, b"k": 5, False: 6}, "x" * 2_000_000, b"y" * 2_000_000,
]  # fmt: skip
PICKLED: list[Any] = [
    2**64, -(2**63) - 1, (1, 2), Point(1, 2), {1, 2}, frozenset(), complex(1, 2), Decimal("1.10"), Fraction(1, 3),
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.timedelta(1), [1, (2,)], {(1, 2): 3}, {"k": 2**70}, range(3), "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: f"{type(value).__name__} {str(value)[:20]}")
def test_plain_values(value: Any, datasets: ObjectStore) -> None:
    assert datasets.put(value, "d").kind == "python.data"
    found = datasets.get("d")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", PICKLED, ids=lambda value: f"{type(value).__name__} {str(value)[:20]!a}")
def test_values_that_are_pickled(value: Any, datasets: ObjectStore) -> None:
    assert datasets.put(value, "d").kind == "python.pickle"
    found = datasets.get("d")
    assert found == value
    assert type(found) is type(value)


def test_a_value_that_holds_itself(datasets: ObjectStore) -> None:
    value: list[Any] = [1]
    value.append(value)
    datasets.put(value, "d")
    found = datasets.get("d")
    assert found[1] is found


@pytest.mark.parametrize("value", [threading.Lock(), iter([]), sys._getframe()], ids=["lock", "iterator", "frame"])
def test_what_cannot_be_pickled_is_refused_by_type(value: Any, datasets: ObjectStore) -> None:
    with pytest.raises(SerializationError, match=r"cannot store 'd': an object of type builtins\.list") as caught:
        datasets.put([value, threading.Lock()], "d")
    assert caught.value.type_name == "builtins.list"
    assert datasets.list() == []


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.dates(),
    st.decimals(allow_nan=False),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers(), st.booleans(), st.none()), inner, max_size=4),
        st.frozensets(_SCALARS, max_size=3),
    ),
    max_leaves=12,
)


def _exactly(found: Any, value: Any) -> bool:
    if type(found) is not type(value):
        return False
    if isinstance(value, (list, tuple)):
        return len(found) == len(value) and all(map(_exactly, found, value))
    if isinstance(value, dict):
        return _exactly(list(found), list(value)) and _exactly(list(found.values()), list(value.values()))
    return bool(found == value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_VALUES)
def test_random_nested_values_come_back(datasets: ObjectStore, value: Any) -> None:
    meta = datasets.put(value, "d")
    assert meta.kind == ("python.data" if is_plain(value) else "python.pickle")
    assert _exactly(datasets.get("d"), value)


def test_many_appends_to_a_list_leave_few_parts(datasets: ObjectStore) -> None:
    for number in range(100):
        datasets.put([number], "d", append=True)
    assert datasets.get("d") == list(range(100))
    assert [len(each) for each in datasets.get("d#iterchunks:chunksize=30")] == [30, 30, 30, 10]
