"""Objects in a copy: all of them, every version, and nothing in the place of what somebody else has put."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from omruntime.abc import Group, Space, Store
from omruntime.errors import CopyRefused, ObjectNotFound, SerializationError, StoreUnavailable, VersionMismatch
from omruntime.ledger import Ledger
from omruntime.ledger.transfer import copy_store
from omruntime.store import settle_group
from omruntime.store.content import doom_key
from omruntime.store.records import base_key
from tests.ledger.made import claim, end, request
from tests.store.copying.conftest import PAIRS, objects
from tests.store.copying.seen import assert_whole, contents


@pytest.mark.parametrize("urls", PAIRS, ids="-".join, indirect=True)
def test_a_copy_has_all_that_the_source_has(source: Store, target: Store) -> None:
    datasets, models = objects(source), objects(source, "models/")
    datasets.put(np.arange(300_000.0), "numbers", attributes={"unit": "m"})
    datasets.put([1], "list")
    datasets.put([2], "list", append=True)
    datasets.put({"ü": None}, "deep/näme with spaces")
    objects(source, bucket="other").put("elsewhere", "list")
    for number in range(3):
        models.put(complex(number), "m", tag=f"v{number}")
    objects(source, "jobs/").create("print(1)", "job")
    tally = copy_store(source, target)
    assert contents(target) == contents(source)
    assert (tally.objects, tally.changed, tally.left, tally.done) == (6, [], [], tally.total)
    copied = objects(target)
    assert (copied.get("list"), copied.list()) == ([1, 2], ["deep/näme with spaces", "list", "numbers"])
    assert objects(target, bucket="other").get("list") == "elsewhere"
    assert [objects(target, "models/").get(f"m@v{number}") for number in range(3)] == [0, 1, 2]
    assert source.id != target.id


def test_a_second_copy_sends_nothing_and_one_after_a_change_only_that(source: Store, target: Store) -> None:
    datasets, models = objects(source), objects(source, "models/")
    datasets.put("old", "changed")
    datasets.put("old", "dropped")
    datasets.put("same", "same")
    for number in range(3):
        models.put(complex(number), "m")
    copy_store(source, target)
    tally = copy_store(source, target)
    assert (tally.blobs, tally.kept) == (0, 5)
    datasets.put("new", "changed")
    datasets.metadata("same").save()
    datasets.drop("dropped")
    models.prune("m", keep=1)
    models.put(complex(9), "m")
    tally = copy_store(source, target)
    assert tally.blobs == 2
    assert objects(target).get("changed") == "new"
    assert [meta.version for meta in objects(target, "models/").revisions("m")] == [4, 3]
    with pytest.raises(ObjectNotFound):
        objects(target).get("dropped")
    records = {key for key in contents(target) if key.startswith("object ")}
    assert records == {key for key in contents(source) if key.startswith("object ")}


def test_what_the_target_alone_has_stays(source: Store, target: Store) -> None:
    objects(source).put("ours", "ours")
    objects(target).put("theirs", "theirs")
    copy_store(source, target, replace=True)
    assert objects(target).list() == ["ours", "theirs"]


def test_other_content_under_a_name_is_refused_by_that_name_before_anything_is_written(
    source: Store, target: Store
) -> None:
    objects(source).put("first", "a")
    objects(source).put("ours", "same")
    objects(source, "models/").put(1 + 0j, "m")
    objects(target).put("theirs", "same")
    objects(target, "models/").put(2 + 0j, "m")
    before = contents(target)
    with pytest.raises(CopyRefused, match=r"data/same \(bucket tests\), models/m .*--replace") as refused:
        copy_store(source, target)
    assert refused.value.names == ("data/same (bucket tests)", "models/m (bucket tests)")
    assert contents(target) == before
    copy_store(source, target, replace=True)
    assert (objects(target).get("same"), objects(target, "models/").get("m")) == ("ours", 1)
    assert len(objects(target, "models/").revisions("m")) == 1


@pytest.mark.parametrize("what", ["put", "save", "drop"])
def test_what_was_done_to_a_copy_is_not_undone(source: Store, target: Store, what: str) -> None:
    objects(source).put("x", "x")
    copy_store(source, target)
    copied = objects(target)
    if what == "put":
        copied.put("theirs", "x")
    elif what == "save":
        meta = copied.metadata("x")
        meta.attributes["theirs"] = True
        meta.save()
    else:
        copied.drop("x")
    objects(source).put("newer", "x")
    with pytest.raises(CopyRefused, match="data/x"):
        copy_store(source, target)
    copy_store(source, target, replace=True)
    assert copied.get("x") == "newer"


def test_an_object_that_was_dropped_and_put_anew_is_another_one(source: Store, target: Store) -> None:
    objects(source).put("first", "x")
    copy_store(source, target)
    objects(source).drop("x")
    objects(source).put("second", "x")
    with pytest.raises(CopyRefused, match="data/x"):
        copy_store(source, target)
    copy_store(source, target, replace=True)
    assert objects(target).get("x") == "second"


@pytest.mark.parametrize("settled", [False, True])
def test_what_a_task_has_staged_is_copied_once_the_task_has_won(source: Store, target: Store, settled: bool) -> None:
    ledger = Ledger(source)
    shelf = objects(source, "models/", committed=ledger.committed)
    shelf.put(0j, "m")
    for task, state in (("won", "SUCCESS"), ("lost", "FAILURE"), ("open", "")):
        view = shelf.staged(task, 1)
        view.put(complex(len(task)), f"m-{task}")
        view.put(1j, "m")
        ledger.submit([(task, request())])
        ledger.claim(task, claim())
        if state:
            ledger.end(task, 1, end(state))
            ledger.remove_requests([task])
        if settled and task == "won":
            source.commit([settle_group(view.effects)])
    tally = copy_store(source, target, in_use=True)
    copied = objects(target, "models/", committed=lambda *_: False)
    assert (copied.list(), copied.get("m")) == (["m", "m-won"], 1j)
    assert tally.left == ["open"]
    ledger.end("open", 1, end())
    ledger.remove_requests(["open"])
    copy_store(source, target)
    assert copied.list() == ["m", "m-open", "m-won"]
    assert_whole(target)


def test_what_has_lost_its_content_is_left_out_and_told_when_all_else_is_there(source: Store, target: Store) -> None:
    datasets = objects(source)
    for name in ("broken", "gone", "whole"):
        datasets.put(name, name)
    refs = {name: _blob_of(source, name) for name in ("broken", "gone")}
    source.write_blob(refs["broken"], [b"other"])
    source.delete_blobs([refs["gone"]])
    with pytest.raises(StoreUnavailable, match=r"everything is copied but data/broken .*damaged.*data/gone .*gone"):
        copy_store(source, target)
    assert objects(target).list() == ["whole"]
    assert_whole(target)
    datasets.put("mended", "broken")
    datasets.drop("gone")
    copy_store(source, target)
    assert objects(target).get("broken") == "mended"


def test_a_record_that_the_target_cannot_take_is_told_when_all_else_is_there(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "large", "z"):
        objects(source).put(name, name, attributes={"text": "x" * (5000 if name == "large" else 1)})
    commit = target.commit

    def take_small(groups: Sequence[Group]) -> list[frozenset[str]]:
        if any(len(value) > 5000 for group in groups for value in group.inserts.values()):
            raise SerializationError("no record of this size")
        return commit(groups)

    monkeypatch.setattr(target, "commit", take_small)
    with pytest.raises(StoreUnavailable, match=r"everything is copied but data/large .*no record of this size"):
        copy_store(source, target)
    assert objects(target).list() == ["a", "z"]


def _blob_of(store: Store, name: str) -> str:
    from omruntime.store import decode_record

    rows = store.scan(Space.OBJECTS, base_key("tests", "data/", name))
    return decode_record(rows[-1][1]).blobs[0].name


def test_marks_of_a_sweeper_stay_where_they_are(source: Store, target: Store) -> None:
    objects(source).put(1, "x")
    source.commit([Group(Space.OBJECTS, {doom_key("o-1"): b"sweeper 1"})])
    copy_store(source, target)
    assert not target.get(Space.OBJECTS, [doom_key("o-1")])


@pytest.mark.parametrize("key", ["strange", base_key("tests", "later/", "x") + "1"])
def test_records_of_an_unknown_kind_are_refused(source: Store, target: Store, key: str) -> None:
    source.commit([Group(Space.OBJECTS, {key: b""})])
    with pytest.raises(VersionMismatch, match="upgrade"):
        copy_store(source, target)


def test_a_store_is_not_copied_into_itself(source: Store, urls: tuple[str, str]) -> None:
    with pytest.raises(CopyRefused, match="same store"):
        copy_store(source, source)


def test_many_objects_are_gone_through_in_pages(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omruntime.store.copying.objects._PAGE", 7)
    monkeypatch.setattr("omruntime.store.copying.carrying._MOST", 5)
    datasets, others = objects(source), objects(target, bucket="earlier")
    for number in range(40):
        datasets.put(number % 7, f"n{number}")
        if number % 3 == 0:
            others.put(number, f"n{number}")
    assert copy_store(source, target).objects == 40
    assert objects(target).list() == datasets.list()
    assert len(others.list()) == 14
