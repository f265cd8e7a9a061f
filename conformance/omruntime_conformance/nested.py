"""Random nested values: what pickle, JSON and MessagePack disagree about, one inside the other."""

from __future__ import annotations

from typing import Any

from omruntime_conformance.libraries import np, npst, pd, st

__all__ = ["nested_values"]


def nested_values() -> st.SearchStrategy[Any]:
    """Return plain values, arrays and frames, in lists, tuples, dictionaries and sets."""
    return st.recursive(st.one_of(_plain(), _arrays(), _frames()), _around, max_leaves=12)


def _plain() -> st.SearchStrategy[Any]:
    return st.one_of(
        _keys(),
        st.floats(),
        st.complex_numbers(),
        st.binary(max_size=5000).map(bytearray),
        st.datetimes(timezones=st.one_of(st.none(), st.timezones())),
        st.times(),
        st.decimals(allow_nan=False),
        st.sets(_keys(), max_size=3),
    )


def _keys() -> st.SearchStrategy[Any]:
    """Return values that equal themselves, and so can be keys."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=2**63 - 1),
        st.text(st.characters(exclude_categories=())),
        st.binary(),
        st.floats(allow_nan=False),
        st.dates(),
        st.timedeltas(),
        st.uuids(),
        st.fractions(),
        st.tuples(st.integers(), st.text(max_size=3)),
    )


def _arrays() -> st.SearchStrategy[Any]:
    shapes = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    codes = np.typecodes["AllInteger"] + np.typecodes["AllFloat"].replace("g", "").replace("G", "") + "?"
    return npst.arrays(st.sampled_from(codes).map(np.dtype), shapes)


def _frames() -> st.SearchStrategy[Any]:
    columns = st.sampled_from(("a", "b", "ä", 0, 1))
    cells = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=5), st.none())
    rows = st.integers(0, 3)

    def of_rows(count: int) -> st.SearchStrategy[Any]:
        column = st.lists(cells, min_size=count, max_size=count)
        return st.dictionaries(columns, column, max_size=3).map(pd.DataFrame)

    return rows.flatmap(of_rows)


def _around(child: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    few = st.lists(child, max_size=3)
    return st.one_of(few, few.map(tuple), st.dictionaries(_keys(), child, max_size=3))
