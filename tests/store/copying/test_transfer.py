"""A whole copy: broken off at any moment, into a full disk, from a store that is in use."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, BinaryIO

import pytest

from omruntime.abc import Buffer, Group, Space, Store
from omruntime.errors import CopyRefused, StoreUnavailable
from omruntime.ledger import LeaseHolder, Ledger
from omruntime.ledger.transfer import check_source, copy_store
from omruntime.store import open_store
from omruntime.store.copying import Tally
from tests.house.tree import ROOT
from tests.ledger.made import claim, end, submitted
from tests.store.copying.conftest import objects
from tests.store.copying.seen import assert_whole, contents


def fill(store: Store, count: int = 12) -> None:
    """Put objects with large and small content, versions, and tasks with values."""
    datasets, models, ledger = objects(store), objects(store, "models/"), Ledger(store)
    for number in range(count):
        datasets.put(bytes([number]) * (5 << 20 if number == 0 else 100), f"d{number}")
        models.put(complex(number), "m")
        task = submitted(ledger, f"task-{number}")
        ledger.claim(task, claim())
        store.write_blob(f"t-{task}-r1-0", [bytes([number]) * 100])
        ledger.end(task, 1, end(blobs=[f"t-{task}-r1-0"]))
        ledger.remove_requests([task])


@pytest.mark.parametrize("urls", [("sqlite", "sqlite"), ("sqlite", "mongodb")], ids="-".join, indirect=True)
def test_a_copy_killed_at_any_moment_goes_on_and_never_shows_half_of_anything(
    source: Store, urls: tuple[str, str]
) -> None:
    fill(source, 4)
    run = subprocess.run(
        [sys.executable, "-m", "tests.store.copying.killed", *urls],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["kills"] > 10
    assert report["records"] > 10


@pytest.mark.parametrize("urls", [("sqlite", "sqlite"), ("mongodb", "sqlite")], ids="-".join, indirect=True)
def test_a_full_disk_is_told_and_the_copy_goes_on_when_there_is_space(source: Store, target: Store) -> None:
    fill(source)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, hard))
    try:
        with pytest.raises(StoreUnavailable, match="is full"):
            copy_store(source, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_whole(target)
    copy_store(source, target)
    assert contents(target) == contents(source)


def test_a_target_that_fails_is_gone_on_with_when_it_is_back(source: Store, target: Store) -> None:
    fill(source, 4)
    write, left = target.write_blob, iter(range(5))

    def failing(name: str, chunks: Iterable[Buffer], **options: Any) -> int:
        if next(left, None) is None:
            raise StoreUnavailable("the server is gone")
        return write(name, chunks, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "write_blob", failing)
        with pytest.raises(StoreUnavailable, match="the server is gone"):
            copy_store(source, target)
    assert_whole(target)
    tally = copy_store(source, target)
    assert tally.kept == 5
    assert contents(target) == contents(source)


def test_a_store_in_use_is_refused_with_who_uses_it(source: Store) -> None:
    holder = LeaseHolder(source, "h-1", 5.0)
    with pytest.raises(CopyRefused, match=rf"in use by process {os.getpid()} of this machine.*--in-use") as refused:
        check_source(source)
    assert refused.value.names == (f"process {os.getpid()} of this machine",)
    check_source(source, in_use=True)
    holder.release()
    check_source(source)


def test_what_changes_while_it_is_copied_is_copied_again_and_told(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = objects(source)
    for name in ("a", "b"):
        datasets.put("old", name)
    changes = iter([lambda: datasets.put("new", "a"), lambda: datasets.put("new", "c")])
    commit = target.commit

    def change_and_commit(groups: object) -> list[frozenset[str]]:
        next(changes, lambda: None)()
        return commit(groups)  # type: ignore[arg-type]

    monkeypatch.setattr(target, "commit", change_and_commit)
    tally = copy_store(source, target, in_use=True)
    assert tally.changed == ["data/a (bucket tests)", "data/c (bucket tests)"]
    assert tally.unsettled == ["data/c (bucket tests)"]
    assert [objects(target).get(name) for name in "abc"] == ["new", "old", "new"]


def test_what_is_replaced_and_swept_while_it_is_copied_has_lost_nothing(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets, opened = objects(source), source.open_blob
    datasets.put("old", "x")
    replacing = iter([lambda: datasets.put("new", "x")])

    def replaced(name: str) -> BinaryIO:
        if (replace := next(replacing, None)) is not None:
            replace()
            source.delete_blobs([name])
        return opened(name)

    monkeypatch.setattr(source, "open_blob", replaced)
    tally = copy_store(source, target, in_use=True)
    assert (tally.lost, tally.changed) == ({}, ["data/x (bucket tests)"])
    assert objects(target).get("x") == "new"


def test_a_store_that_changes_all_the_time_is_told_to_do_so(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = objects(source)
    datasets.put(0, "x")
    commit, numbers = target.commit, iter(range(1, 100))

    def change_and_commit(groups: object) -> list[frozenset[str]]:
        datasets.put(next(numbers), "x")
        return commit(groups)  # type: ignore[arg-type]

    monkeypatch.setattr(target, "commit", change_and_commit)
    tally = copy_store(source, target, in_use=True)
    assert tally.unsettled == ["data/x (bucket tests)"]
    assert objects(target).get("x") == 2
    with pytest.raises(CopyRefused, match=r"goes on changing.*data/x"):
        copy_store(source, target)


def test_what_is_done_is_told_meanwhile(source: Store, target: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(source)
    tally, seen, commit = Tally(), [], target.commit

    def look_and_commit(groups: object) -> list[frozenset[str]]:
        seen.append((tally.stage, tally.done, tally.total))
        return commit(groups)  # type: ignore[arg-type]

    monkeypatch.setattr(target, "commit", look_and_commit)
    copy_store(source, target, tally=tally)
    done = [done for _, done, _ in seen]
    assert done == sorted(done)
    assert 0 < done[0] <= done[-1] <= tally.total == tally.done
    assert {stage for stage, _, _ in seen} == {"copying"}


def test_copies_at_once_do_each_others_work_and_no_harm(source: Store, target: Store, urls: tuple[str, str]) -> None:
    fill(source, 6)

    def copy(_: int) -> int:
        with closing(open_store(urls[1])) as own:
            return copy_store(source, own).objects

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(copy, range(3))) == [7] * 3
    assert contents(target) == contents(source)


def test_a_copy_of_a_copy_is_brought_back(source: Store, target: Store) -> None:
    fill(source, 3)
    copy_store(source, target)
    objects(target).put("changed there", "d1")
    copy_store(target, source)
    assert objects(source).get("d1") == "changed there"
    assert contents(source).keys() >= contents(target).keys()


def test_a_record_that_the_target_gives_back_otherwise_is_noticed(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects(source).put(1, "x")
    commit = target.commit

    def garble(groups: Sequence[Group]) -> list[frozenset[str]]:
        meta = objects(source).metadata("x")
        before = source.scan(Space.OBJECTS, "")
        meta.attributes["garbled"] = True
        meta.save()
        # A valid record, of another state of the same object, under the key that it does not have.
        ((_, value),) = source.scan(Space.OBJECTS, "")
        ((key, old),) = before
        source.commit([Group(Space.OBJECTS, {}, [each for each, _ in source.scan(Space.OBJECTS, "")])])
        source.commit([Group(Space.OBJECTS, {key: old})])
        return commit([Group(Space.OBJECTS, {key: value})])

    monkeypatch.setattr(target, "commit", garble)
    with pytest.raises(CopyRefused, match="data/x"):
        copy_store(source, target)
