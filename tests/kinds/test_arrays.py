"""Arrays of every dtype and layout come back as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from omruntime.store import ObjectStore

ARRAYS: dict[str, Any] = {
    "0-d": np.array(1.5),
    "0-d datetime": np.array("2026-01-01", "M8[D]"),
    "empty": np.empty((0, 3)),
    "no items": np.empty((3, 0), "i4"),
    "empty text": np.empty(2, "S0"),
    "big-endian": np.arange(5, dtype=">i4"),
    "big-endian datetime": np.array(["2026", "NaT"], ">M8[ns]"),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "strided": np.arange(40).reshape(5, 8)[::2, 1::3],
    "backwards": np.arange(5)[::-1],
    "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
    "text": np.array(["é", "abc"]),
    "bytes": np.array([b"a", b"abc"]),
    "void": np.array([b"\x00\x01", b"ab"], "V2"),
    "structured": np.array([(1, 2.5, "x")], [("a", "i4"), ("b", ">f8"), ("c", "U3")]),
    "nested": np.zeros(2, [("a", [("b", "i2", (2, 2))]), ("t", "m8[s]")]),
    "aligned": np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "complex": np.array([1j, np.nan]),
    "longdouble": np.array([1, 2], np.longdouble),
    "float16": np.array([1, np.inf], "f2"),
    "objects": np.array([1, "a", None, [1]], dtype=object),
    "structured objects": np.array([(1, "a")], [("a", "i4"), ("o", object)]),
    "strings": np.array(["a", "longer"], np.dtypes.StringDType()),
    "dtype with metadata": np.zeros(2, np.dtype("i4", metadata={"unit": "m"})),
}


def same(found: Any, expected: Any) -> None:
    assert type(found) is np.ndarray
    assert found.dtype == expected.dtype
    assert found.dtype.isnative == expected.dtype.isnative
    assert found.shape == expected.shape
    if expected.dtype.kind == "V" and not expected.dtype.hasobject:
        assert found.tobytes() == expected.tobytes()
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_of_any_kind_comes_back(kind: str, datasets: ObjectStore) -> None:
    array = ARRAYS[kind]
    assert datasets.put(array, "a").kind == "numpy.ndarray"
    found = datasets.get("a")
    same(found, array)
    assert found.flags.writeable
    assert found.dtype.metadata == array.dtype.metadata
    if array.ndim:
        assert len(datasets.get("a#iterchunks:chunksize=1")) == len(array)


def test_the_layout_comes_back(datasets: ObjectStore) -> None:
    datasets.put(ARRAYS["fortran"], "f")
    assert datasets.get("f").flags.f_contiguous
    datasets.put(np.ones((3, 4)), "c")
    assert datasets.get("c").flags.c_contiguous


def test_large_arrays_of_every_layout(datasets: ObjectStore) -> None:
    base = np.random.default_rng(0).random((3000, 1500))
    for array in (base, np.asfortranarray(base), base[::2], base[:, ::3], base.T[5:]):
        datasets.put(array, "a")
        np.testing.assert_array_equal(datasets.get("a"), array)


def test_fields_are_selected_like_columns(datasets: ObjectStore) -> None:
    array = np.array([(1, 2.5, "x"), (2, 3.5, "y")], [("a", "i4"), ("b", "f8"), ("c", "U3")])
    datasets.put(array, "s")
    np.testing.assert_array_equal(datasets.get("s[b:]"), array[["b", "c"]])
    np.testing.assert_array_equal(datasets.get("s[b]", squeeze=True), array["b"])


def test_subclasses_and_scalars_come_back_as_what_they_were(datasets: ObjectStore) -> None:
    masked = np.ma.masked_array([1, 2], mask=[True, False])
    datasets.put(masked, "m")
    assert type(datasets.get("m")) is np.ma.MaskedArray
    datasets.put(np.float32(1.5), "s")
    assert type(datasets.get("s")) is np.float32


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=npst.arrays(
        dtype=st.one_of(npst.scalar_dtypes(), npst.array_dtypes(max_size=3)),
        shape=npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    fortran=st.booleans(),
)
def test_random_arrays_come_back(datasets: ObjectStore, array: Any, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    datasets.put(array, "a")
    same(datasets.get("a"), array)
