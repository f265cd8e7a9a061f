"""Stores of objects: put, get, names, metadata, versions, buckets."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from omruntime.abc import Group, Space, Store
from omruntime.errors import (
    InvalidName,
    MetadataConflict,
    ObjectNotFound,
    OmegaRuntimeError,
    SerializationError,
)
from omruntime.store import BINDER, Metadata, ObjectStore, open_store
from tests.store.conftest import AUTH, Shelves


def test_put_replaces_and_get_gives_back(datasets: ObjectStore) -> None:
    meta = datasets.put({"a": [1, 2]}, "some/näme with.dots")
    assert datasets.get("some/näme with.dots") == {"a": [1, 2]}
    datasets.put("text", "some/näme with.dots")
    assert datasets.get(meta) == "text"
    assert datasets.list() == ["some/näme with.dots"]


def test_the_metadata_of_an_object(datasets: ObjectStore) -> None:
    before = dt.datetime.now(dt.UTC)
    meta = datasets.put([1], "d", attributes={"note": "x"})
    assert (meta.name, meta.bucket, meta.prefix, meta.kind) == ("d", "tests", "data/", "python.data")
    assert meta.attributes == {"note": "x"}
    assert before <= meta.created == meta.modified <= dt.datetime.now(dt.UTC)
    assert (
        repr(meta)
        == f"<Metadata: Metadata(name=d,bucket=tests,prefix=data/,kind=python.data,created={meta.created})>"
    )
    again = datasets.put([2], "d")
    assert again.created == meta.created < again.modified


@pytest.mark.parametrize(
    "name",
    ["", " ", "a[b", "a]", "a#b", "a@b", "a^", "/a", "../a", "a/../b", "a/..", "a//b", "a/", "./a", "a\n", "a\x1fb",
     "a\x7f", "a\ud800", "x" * 401],
)  # fmt: skip
def test_a_name_that_no_object_may_have_is_refused(datasets: ObjectStore, name: str) -> None:
    with pytest.raises(InvalidName):
        datasets.put(1, name)
    assert datasets.list() == []


def test_a_missing_object_is_told_with_names_that_are_close(datasets: ObjectStore) -> None:
    datasets.put(1, "iris")
    for method in (datasets.get, datasets.metadata, datasets.drop, datasets.check, datasets.version):
        with pytest.raises(ObjectNotFound, match=r"no dataset 'Irsi'.*did you mean 'iris'") as caught:
            method("Irsi")
        assert caught.value.suggestions == ("iris",)
        assert caught.value.name == "Irsi"
    assert not datasets.exists("Irsi")
    assert datasets.drop("Irsi", force=True) is False
    with pytest.raises(ObjectNotFound, match=r"om\.datasets\.list"):
        datasets.get("completely different")


def test_drop_removes_and_a_new_object_is_another(datasets: ObjectStore) -> None:
    old = datasets.put(1, "d")
    version = datasets.version("d")
    assert datasets.drop("d") is True
    assert not datasets.exists("d")
    assert datasets.list() == []
    new = datasets.put(1, "d")
    assert new.uid != old.uid
    assert new.created > old.created
    assert datasets.version("d") != version
    with pytest.raises(MetadataConflict):
        old.save()
    with pytest.raises(InvalidName, match="drops all of it"):
        datasets.drop("d[a]")


def test_list_matches_patterns_sorts_and_hides(datasets: ObjectStore) -> None:
    for name in ("b", "a/1", "a/2", "C", ".hidden", "_private"):
        datasets.put(0, name)
    assert datasets.list() == ["C", "a/1", "a/2", "b"]
    assert datasets.list("a/*") == ["a/1", "a/2"]
    assert datasets.list("[bC]") == ["C", "b"]
    assert datasets.list(".*") == [".hidden"]
    assert [meta.name for meta in datasets.list("b", raw=True)] == ["b"]
    assert all(isinstance(meta, Metadata) for meta in datasets.list(raw=True))


def test_long_lists_are_whole(datasets: ObjectStore, store: Store) -> None:
    names = [f"n{i:04}" for i in range(1101)]
    datasets.put(0, names[0])
    ((key, record),) = store.scan(Space.OBJECTS, "")
    keys = [key.replace(names[0], name) for name in names[1:]]
    store.commit([Group(Space.OBJECTS, dict.fromkeys(keys, record))])
    assert datasets.list() == names


def test_stores_and_buckets_do_not_see_each_other(shelf: Shelves) -> None:
    here, there, models = shelf("data/"), shelf("data/", bucket="there"), shelf("models/")
    meta = here.put("here", "d")
    there.put("there", "d")
    assert (here.get("d"), there.get("d"), models.list()) == ("here", "there", [])
    assert there.get(meta) == "here"
    assert here.in_bucket("there").get("d") == "there"
    assert here.in_bucket("tests") is here
    there.drop(meta)
    assert (here.exists("d"), there.exists("d")) == (False, True)
    with pytest.raises(ObjectNotFound, match="is in data/, not in models/"):
        models.get(meta)
    with pytest.raises(InvalidName):
        shelf("data/", bucket="a\nb")


def test_attributes_stay_when_content_is_replaced_but_not_those_of_the_content(scripts: ObjectStore) -> None:
    # What a kind says of the content goes with it, see the tests of packages; what users noted stays.
    from omruntime.virtual import virtualobj

    scripts.put(virtualobj(lambda data=None: data), "s", attributes={"require": {"label": "gpu"}})
    meta = scripts.put(virtualobj(lambda data=None: 2), "s", attributes={"more": 1})
    assert meta.attributes == {"require": {"label": "gpu"}, "more": 1}


def test_save_writes_attributes_and_a_stale_one_is_refused(datasets: ObjectStore) -> None:
    datasets.put(1, "d")
    first, second = datasets.metadata("d"), datasets.metadata("d")
    content = datasets.version("d")
    first.attributes["n"] = np.float64(1.5)
    assert first.save() is first
    first.attributes["m"] = (1, {"x": None})
    first.save()
    assert datasets.metadata("d").attributes == {"n": 1.5, "m": [1, {"x": None}]}
    assert datasets.version("d") == content
    second.attributes["n"] = 2
    with pytest.raises(MetadataConflict, match=r"data/d \(bucket tests\) was changed"):
        second.save()
    first.attributes["bad"] = object()
    with pytest.raises(SerializationError, match="plain data"):
        first.save()
    datasets.drop("d")
    with pytest.raises(MetadataConflict, match="dropped"):
        first.save()


def test_metadata_travels_and_is_bound_where_it_arrives(datasets: ObjectStore) -> None:
    meta = datasets.put(1, "d", attributes={"a": 1})
    copy = pickle.loads(pickle.dumps(meta))
    assert repr(copy) == repr(meta)
    assert (copy.attributes, copy.uid, copy.version, copy.tag) == (meta.attributes, meta.uid, meta.version, None)
    with pytest.raises(OmegaRuntimeError, match="belongs to no open store"):
        copy.save()
    token = BINDER.set(lambda each: each.bind(datasets.save))
    try:
        bound = pickle.loads(pickle.dumps(meta))
    finally:
        BINDER.reset(token)
    bound.attributes["b"] = 2
    bound.save()
    assert datasets.metadata("d").attributes == {"a": 1, "b": 2}


def test_every_put_of_a_model_is_a_version(models: ObjectStore) -> None:
    for number, tag in enumerate(["v1", None, "v2", None]):
        models.put({"n": number}, "m", tag=tag)
    got = [models.get(each)["n"] for each in ("m", "m^", "m^^", "m^^^", "m@v1", "m@v2")]
    assert got == [3, 2, 1, 0, 0, 2]
    assert [(meta.tag, models.get(f"m{'^' * back}")["n"]) for back, meta in enumerate(models.revisions("m"))] == [
        (None, 3), ("v2", 2), (None, 1), ("v1", 0),
    ]  # fmt: skip
    assert models.exists("m@v1")
    assert not models.exists("m^^^^")
    assert models.metadata("m^").tag == "v2"
    with pytest.raises(ObjectNotFound, match="no version 'm@v3'; it has 4, with the tags: v1, v2"):
        models.get("m@v3")
    models.put({"n": 9}, "m", tag="v1")
    assert models.get("m@v1")["n"] == 9


def test_saving_a_model_adds_no_version(models: ObjectStore) -> None:
    models.put(1.5, "m", tag="v1")
    meta = models.put(2.5, "m")
    meta.attributes["a"] = 1
    meta.save()
    assert len(models.revisions("m")) == 2
    assert models.get("m^") == 1.5
    older = models.metadata("m@v1")
    with pytest.raises(MetadataConflict):
        older.save()


def test_prune_keeps_the_newest_versions(models: ObjectStore) -> None:
    for number in range(7):
        models.put(number, "m", tag=f"v{number}")
    assert models.prune("m", keep=3) == 4
    assert [meta.tag for meta in models.revisions("m")] == ["v6", "v5", "v4"]
    assert models.prune("m", keep=5) == 0
    assert models.get("m") == 6
    with pytest.raises(ValueError, match="at least one"):
        models.prune("m", keep=0)
    assert models.drop("m") is True
    assert models.put(1, "m").tag is None
    assert len(models.revisions("m")) == 1


@pytest.mark.parametrize("tag", ["", "a b", "a@b", "a^", "a]"])
def test_a_tag_that_no_selector_could_name_is_refused(models: ObjectStore, tag: str) -> None:
    with pytest.raises(InvalidName):
        models.put(1, "m", tag=tag)


def test_version_changes_with_content_alone(models: ObjectStore) -> None:
    meta = models.put(1, "m")
    first = models.version("m")
    meta.attributes["x"] = 1
    meta.save()
    assert models.version("m") == first
    models.put(1, "m")
    assert models.version("m") != first == models.version("m^")


def test_append_adds_rows_and_loses_none(datasets: ObjectStore) -> None:
    for start in range(0, 120, 3):
        datasets.put(pd.DataFrame({"x": range(start, start + 3)}), "d", append=True)
    frame = datasets.get("d")
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"x": range(120)}))
    assert list(datasets.get("d#iterchunks:chunksize=50"))[1].index[0] == 50
    datasets.put(pd.DataFrame({"x": [1]}), "d")
    assert len(datasets.get("d")) == 1
    datasets.put([1], "l", append=True)
    datasets.put([2, "x"], "l", append=True)
    assert datasets.get("l") == [1, 2, "x"]


@pytest.mark.parametrize(
    ("there", "more"),
    [
        (pd.DataFrame({"x": [1]}), pd.DataFrame({"y": [1]})),
        (pd.DataFrame({"x": [1]}), pd.Series([1])),
        (np.ones(2), np.ones(2)),
        ({"a": 1}, {"b": 1}),
        ([1], {"a": 1}),
        ({1, 2}, {3}),
    ],
)
def test_what_does_not_fit_is_not_appended(datasets: ObjectStore, there: object, more: object) -> None:
    datasets.put(there, "d")
    version = datasets.version("d")
    with pytest.raises(TypeError, match="append"):
        datasets.put(more, "d", append=True)
    assert datasets.version("d") == version


def test_unknown_options_are_refused(datasets: ObjectStore) -> None:
    with pytest.raises(TypeError, match="no option colour"):
        datasets.put([1], "d", colour=1)


def test_a_second_opening_reads_what_the_first_wrote(store_url: str, datasets: ObjectStore) -> None:
    array = np.arange(400_000.0)
    datasets.put(array, "a")
    again = open_store(store_url)
    other = ObjectStore(again, "data/", bucket="tests", auth=lambda: AUTH)
    loaded = other.get("a")
    again.close()
    np.testing.assert_array_equal(loaded, array)
    loaded[0] = 5
    assert datasets.get("a")[0] == 0


def test_a_prefix_that_is_none_is_refused(shelf: Shelves) -> None:
    with pytest.raises(ValueError, match="data/, models/, scripts/, jobs/"):
        shelf("other/")


def test_equal_content_is_kept_once(datasets: ObjectStore, store: Store) -> None:
    for name in "abc":
        datasets.put(b"x" * 100_000, name)
    assert len(list(store.blobs("o-"))) == 1


def test_content_is_streamed_never_held_as_a_whole(datasets: ObjectStore, store: Store) -> None:
    largest = 0
    method = "write_addressed" if hasattr(store, "write_addressed") else "write_blob"
    write = getattr(store, method)

    def watched(prefix: str, chunks: Iterator[bytes]) -> object:
        def measured() -> Iterator[bytes]:
            nonlocal largest
            for chunk in chunks:
                largest = max(largest, len(chunk))
                yield chunk

        return write(prefix, measured())

    setattr(store, method, watched)
    datasets.put(np.ones((3000, 2000))[:, ::2], "strided")
    assert 0 < largest <= 17 << 20
    np.testing.assert_array_equal(datasets.get("strided"), np.ones((3000, 1000)))


def test_a_peek_sees_what_others_have_stored(
    datasets: ObjectStore, models: ObjectStore, store: Store, store_url: str
) -> None:
    with pytest.raises(ObjectNotFound):
        datasets.peek("d")
    datasets.put(1, "d")
    first = datasets.peek("d")
    assert datasets.peek("d") == first
    # Where the store can tell that nothing has changed, nothing is looked up.
    assert (datasets.peek("d") is first) == (store.generation(Space.OBJECTS) is not None)
    other = open_store(store_url)
    ObjectStore(other, "data/", bucket="tests", auth=AUTH).put(2, "d")
    other.close()
    assert datasets.peek("d").record.version > first.record.version
    datasets.drop("d")
    with pytest.raises(ObjectNotFound):
        datasets.peek("d")
    models.put(1, "m", tag="v1")
    models.put(2, "m")
    assert models.peek("m@v1").record.tag == "v1"
