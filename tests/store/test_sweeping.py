"""Sweeping takes what nobody can reach, and never what somebody can, also while it is being written."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable

import msgspec
import pandas as pd
import pytest

from omruntime.abc import Group, Space, Store
from omruntime.errors import StoreUnavailable
from omruntime.store import ObjectStore, open_store
from omruntime.store.content import doom_key
from omruntime.store.records import decode, encode
from omruntime.store.sweeping import Swept, sweep
from tests.store.conftest import AUTH


def nobody_knows(_task: str, _attempt: int, _any_end: bool) -> bool | None:
    return None


def blobs(store: Store) -> int:
    return len(list(store.blobs("o-")))


def test_replaced_and_dropped_content_goes_after_its_grace(datasets: ObjectStore, store: Store) -> None:
    for number in range(3):
        datasets.put(b"x" * number, "d")
    datasets.put(b"dropped", "gone")
    datasets.drop("gone")
    store.write_blob("t-of-a-task", [b"x"])
    assert sweep(store, nobody_knows) == Swept()
    swept = sweep(store, nobody_knows, grace=0)
    assert (swept.blobs, swept.bytes) == (3, 8)
    assert datasets.get("d") == b"xx"
    assert [info.name for info in store.blobs("t-")] == ["t-of-a-task"]
    assert sweep(store, nobody_knows, grace=0) == Swept()


def test_old_versions_of_models_and_tails_of_appends_stay(
    models: ObjectStore, datasets: ObjectStore, store: Store
) -> None:
    for number in range(4):
        models.put(complex(number), "m")
        datasets.put(pd.DataFrame({"x": [number]}), "d", append=True)
    assert sweep(store, nobody_knows, grace=0) == Swept()
    assert models.get("m^^^") == complex(0)
    models.prune("m", keep=2)
    assert sweep(store, nobody_knows, grace=0).blobs == 2
    assert models.get("m^") == complex(2)
    assert list(datasets.get("d")["x"]) == [0, 1, 2, 3]


def test_staged_revisions_follow_their_task(models: ObjectStore, store: Store) -> None:
    models.put(complex(0), "m")
    for task in ("won", "lost", "running"):
        models.staged(task, 1).put(complex(len(task)), "m")
    verdicts = {"won": True, "lost": False}
    swept = sweep(store, lambda task, _attempt, _any_end: verdicts.get(task), grace=0)
    assert (swept.settled, swept.revisions, swept.blobs) == (1, 1, 1)
    assert [models.get("m"), models.get("m^")] == [complex(3), complex(0)]
    assert models.staged("running", 1).get("m") == complex(7)


def test_what_is_kept_follows_any_end_of_its_task(datasets: ObjectStore, store: Store) -> None:
    for kept in (True, False):
        datasets.staged("ended", 1, kept=kept).put(complex(1), f"kept {kept}")

    swept = sweep(store, lambda _task, _attempt, any_end: any_end, grace=0)
    assert (swept.settled, swept.revisions) == (1, 1)
    assert datasets.list() == ["kept True"]
    assert not datasets.peek("kept True").record.kept


def test_what_a_killed_drop_or_save_left_goes(models: ObjectStore, store: Store) -> None:
    models.put(complex(1), "m")
    rows = store.scan(Space.OBJECTS, "")
    meta = models.metadata("m")
    meta.save()
    models.drop("m")
    # As if the drop had been killed between its two writes.
    store.commit([Group(Space.OBJECTS, dict(rows))])
    assert not models.exists("m")
    assert sweep(store, nobody_knows, grace=0).revisions == 1
    (key, value) = store.scan(Space.OBJECTS, "")[0]
    old = decode(value).modified - dt.timedelta(days=2)
    store.commit([Group(Space.OBJECTS, {}, [key])])
    store.commit([Group(Space.OBJECTS, {key: encode(msgspec.structs.replace(decode(value), modified=old))})])
    assert sweep(store, nobody_knows, grace=0).revisions == 1
    assert store.scan(Space.OBJECTS, "") == []


class Interfering:
    """A store in which something happens right before a record is committed, or right after."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before: list[object] = []
        self.after: list[object] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def commit(self, groups: Iterable[Group]) -> list[frozenset[str]]:
        groups = list(groups)
        if any(group.inserts for group in groups):
            while self.before:
                self.before.pop()()  # type: ignore[operator]
        lost = self._store.commit(groups)
        if any(group.inserts for group in groups):
            while self.after:
                self.after.pop()()  # type: ignore[operator]
        return lost


@pytest.fixture
def interfering(store: Store) -> Interfering:
    return Interfering(store)


@pytest.fixture
def watched(interfering: Interfering) -> ObjectStore:
    return ObjectStore(interfering, "data/", bucket="tests", auth=AUTH)  # type: ignore[arg-type]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_blob_that_is_swept_under_a_put_is_written_again(
    moment: str, interfering: Interfering, watched: ObjectStore, store: Store
) -> None:
    def take_all() -> None:
        store.delete_blobs([info.name for info in store.blobs("o-")])

    getattr(interfering, moment).append(take_all)
    frame = pd.DataFrame({"x": range(100_000)})
    watched.put(frame, "d")
    pd.testing.assert_frame_equal(watched.get("d"), frame)
    getattr(interfering, moment).append(lambda: sweep(store, nobody_knows, grace=0))
    watched.put(frame.iloc[::-1], "e")
    pd.testing.assert_frame_equal(watched.get("e"), frame.iloc[::-1])


def test_a_put_waits_for_a_sweeper_that_has_announced_its_blob(
    interfering: Interfering, watched: ObjectStore, store: Store
) -> None:
    watched.put(b"content", "other")
    (name,) = (info.name for info in store.blobs("o-"))
    store.commit([Group(Space.OBJECTS, {doom_key(name): b"nonce 9999999999"})])
    written = threading.Event()
    interfering.after.append(written.set)
    putting = threading.Thread(target=watched.put, args=(b"content", "d"))
    putting.start()
    assert written.wait(30)
    assert putting.is_alive()
    store.delete_blobs([name])
    store.commit([Group(Space.OBJECTS, {}, [doom_key(name)])])
    putting.join(30)
    assert watched.get("d") == b"content"


def test_the_marks_of_a_dead_sweeper_go(datasets: ObjectStore, store: Store) -> None:
    datasets.put(b"a", "d")
    datasets.put(b"b", "d")
    marks = {doom_key(info.name): b"nonce 1000000000" for info in store.blobs("o-")}
    store.commit([Group(Space.OBJECTS, marks)])
    assert sweep(store, nobody_knows, grace=0).blobs == 1
    assert [key for key, _ in store.scan(Space.OBJECTS, doom_key(""))] == []
    assert datasets.get("d") == b"b"


def test_writers_readers_and_sweepers_at_once(datasets: ObjectStore, store_url: str, pace: float) -> None:
    rounds = int(150 * pace)
    stop = threading.Event()
    failures: list[BaseException] = []

    def guarded(work: object) -> None:
        other = open_store(store_url)
        objects = ObjectStore(other, "data/", bucket="tests", auth=AUTH)
        try:
            while not stop.is_set():
                work(other, objects)  # type: ignore[operator]
        except BaseException as exc:  # noqa: BLE001 - shown by the test
            failures.append(exc)
        finally:
            other.close()

    def read(_store: Store, objects: ObjectStore) -> None:
        try:
            value = objects.get("d")
        except StoreUnavailable:
            return  # every revision of a few moments was replaced and swept while it was read
        assert len(value) == 3000
        assert len(set(value)) == 1

    datasets.put(b"\0" * 3000, "d")
    threads = [
        threading.Thread(target=guarded, args=(lambda store, _objects: sweep(store, nobody_knows, grace=0),)),
        threading.Thread(target=guarded, args=(lambda store, _objects: sweep(store, nobody_knows, grace=0),)),
        threading.Thread(target=guarded, args=(read,)),
    ]
    for thread in threads:
        thread.start()
    try:
        _put_the_same_again(datasets, rounds)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert datasets.get("d") == bytes([(rounds - 1) % 3]) * 3000
    assert [len(datasets.get(f"other{each}")) for each in (0, 1)] == [3000, 3000]


def _put_the_same_again(datasets: ObjectStore, rounds: int) -> None:
    for number in range(rounds):
        # The same three contents again and again: what a sweeper is about to take is often what is put next.
        datasets.put(bytes([number % 3]) * 3000, "d")
        datasets.put(bytes([number % 3]) * 3000, f"other{number % 2}")
