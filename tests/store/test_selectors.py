"""Selectors: what they mean, compared with pandas, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omruntime.abc import Store
from omruntime.errors import SelectorError, StoreUnavailable
from omruntime.store import ObjectStore
from omruntime.store.selectors import DEFAULT_CHUNK, columns_of, parse

LABELS = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("d", "abcd"),
        ("d[a]", "a"),
        ("d[c,a]", "ca"),
        ("d[ c , a ]", "ca"),
        ("d[b:c]", "bc"),
        ("d[:c]", "abc"),
        ("d[b:]", "bcd"),
        ("d[:]", "abcd"),
        ("d[^a,c]", "bd"),
        ("d[^b:c]", "ad"),
        ("d[d,a:b]", "dab"),
        ("d['a',\"b\"]", "ab"),
        ("d[a,a]", "aa"),
    ],
)
def test_columns(text: str, chosen: str) -> None:
    selector = parse(text)
    assert selector.name == "d"
    assert [LABELS[place] for place in columns_of(selector, LABELS)] == list(chosen)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("d", 0),
        ("d#", DEFAULT_CHUNK),
        ("d#iterchunks", DEFAULT_CHUNK),
        ("d#iterchunks:chunksize=7", 7),
        ("d[a]#", DEFAULT_CHUNK),
    ],
)
def test_chunks(text: str, size: int) -> None:
    assert parse(text).chunk == size


def test_versions() -> None:
    assert (parse("m@v1").name, parse("m@v1").tag) == ("m", "v1")
    assert parse("m^").back == 1
    assert parse("m^^").back == 2
    assert parse("a/b c.é").plain


@pytest.mark.parametrize(
    "text",
    ["d[", "d]", "d[a", "d[]", "d[a,]", "d[,a]", "d[a:b:c]", "d[a b:c:]", "d[^]", "d[a]x", "d#rows",
     "d#iterchunks:size=1", "d#iterchunks:chunksize=0", "d#iterchunks:chunksize=x",
     "d@", "d@a@b", "d[a['x']]", "d['a]"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SelectorError, match="cannot read the selector"):
        parse(text)


def test_a_column_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(SelectorError, match=r"no column 'colour' \(did you mean 'color'\?\); there are: color, size"):
        columns_of(parse("d[colour]"), ["color", "size"])


def test_a_range_that_runs_backwards_or_selects_nothing_is_refused() -> None:
    with pytest.raises(SelectorError, match="the other way round"):
        columns_of(parse("d[c:a]"), LABELS)
    with pytest.raises(SelectorError, match="selects no column"):
        columns_of(parse("d[^:]"), LABELS)


def test_labels_with_marks_are_written_in_quotes() -> None:
    labels = ["a,b", "x:y", "^n", "it's"]
    assert columns_of(parse('d["x:y","a,b"]'), labels) == [1, 0]
    assert columns_of(parse("""d['^n',"it's"]"""), labels) == [2, 3]


_NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
_ITEMS = st.one_of(_NAMES, st.tuples(st.none() | _NAMES, st.none() | _NAMES))


def _written(item: str | tuple[str | None, str | None]) -> str:
    return item if isinstance(item, str) else f"{item[0] or ''}:{item[1] or ''}"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(_ITEMS, min_size=1, max_size=4), negate=st.booleans(), chunk=st.sampled_from([0, 1, 3, 100]))
def test_random_selectors_agree_with_pandas(
    datasets: ObjectStore, items: list[str | tuple[str | None, str | None]], negate: bool, chunk: int
) -> None:
    frame = pd.DataFrame(np.arange(35).reshape(7, 5), columns=list("abcde"), index=list("tuvwxyz"))
    if not datasets.exists("d"):
        datasets.put(frame, "d")
    asked = ",".join(map(_written, items))
    selector = f"d[{'^' if negate else ''}{asked}]" + (f"#iterchunks:chunksize={chunk}" if chunk else "")
    parts = [frame[[item]] if isinstance(item, str) else frame.loc[:, slice(*item)] for item in items]
    expected = pd.concat(parts, axis=1)
    if negate:
        expected = frame.drop(columns=expected.columns)
    if any(part.shape[1] == 0 for part in parts) or expected.shape[1] == 0:
        with pytest.raises(SelectorError):
            datasets.get(selector)
        return
    found = datasets.get(selector)
    if chunk:
        assert [len(each) for each in found] == [min(chunk, 7 - start) for start in range(0, 7, chunk)]
        assert len(found) == -(-7 // chunk)
        found = pd.concat(list(found))
    pd.testing.assert_frame_equal(found, expected)


def test_chunks_can_be_gone_through_again_and_stay_with_their_content(datasets: ObjectStore) -> None:
    datasets.put(pd.DataFrame({"x": range(5)}), "d")
    chunks = datasets.get("d#iterchunks:chunksize=2")
    datasets.put(pd.DataFrame({"x": [9]}), "d")
    for _ in range(2):
        assert [list(chunk["x"]) for chunk in chunks] == [[0, 1], [2, 3], [4]]
    assert repr(chunks) == "<Chunks: 3 of up to 2 rows>"


def test_chunks_whose_content_was_swept_say_so(datasets: ObjectStore, store: Store) -> None:
    datasets.put(pd.DataFrame({"x": range(5)}), "d")
    chunks = datasets.get("d#")
    store.delete_blobs([info.name for info in store.blobs("o-")])
    with pytest.raises(StoreUnavailable, match=r"content of data/d \(bucket tests\) is gone"):
        list(chunks)
    with pytest.raises(StoreUnavailable, match=r"content of data/d \(bucket tests\) is gone"):
        datasets.get("d")


def test_a_single_column_can_come_as_a_series(datasets: ObjectStore) -> None:
    datasets.put(pd.DataFrame({"x": [1, 2], "y": [3, 4]}), "d")
    assert isinstance(datasets.get("d[y]"), pd.DataFrame)
    pd.testing.assert_series_equal(datasets.get("d[y]", squeeze=True), pd.Series([3, 4], name="y"))
    assert isinstance(datasets.get("d", squeeze=True), pd.DataFrame)
    assert all(isinstance(each, pd.Series) for each in datasets.get("d[y]#", squeeze=True))
    datasets.put([1, 2], "list")
    assert datasets.get("list", squeeze=True) == [1, 2]


def test_labels_that_are_no_text_match_by_their_text(datasets: ObjectStore) -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=pd.Index([0, 2.5, "x"], dtype=object))
    datasets.put(frame, "d")
    pd.testing.assert_frame_equal(datasets.get("d[2.5,0]"), frame[[2.5, 0]])
    levels = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    datasets.put(levels, "levels")
    pd.testing.assert_frame_equal(datasets.get("levels[a.y]"), levels[[("a", "y")]])


def test_arrays_and_lists_take_what_fits_them(datasets: ObjectStore) -> None:
    array = np.arange(12).reshape(4, 3)
    datasets.put(array, "a")
    np.testing.assert_array_equal(datasets.get("a[0,2]"), array[:, [0, 2]])
    np.testing.assert_array_equal(datasets.get("a[1]", squeeze=True), array[:, 1])
    np.testing.assert_array_equal(np.concatenate(list(datasets.get("a#iterchunks:chunksize=3"))), array)
    datasets.put([1, 2, 3], "l")
    assert list(datasets.get("l#iterchunks:chunksize=2")) == [[1, 2], [3]]
    datasets.put({"k": 1}, "k")
    for asked, match in (("l[a]", "no columns to select"), ("k#", "not come in chunks"), ("a[3]", "no column '3'")):
        for method in (datasets.get, datasets.check):
            with pytest.raises(SelectorError, match=match):
                method(asked)


def test_only_models_have_versions(datasets: ObjectStore) -> None:
    for asked in ("d^", "d@v1"):
        with pytest.raises(SelectorError, match="keeps no versions"):
            datasets.get(asked)
    with pytest.raises(SelectorError, match="keeps no versions"):
        datasets.put(1, "d", tag="v1")
