"""What every store does, written against the interface."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omruntime.abc import Group, Space, Store
from omruntime.errors import StoreUnavailable
from omruntime.store import open_store
from tests.stores import MakeUrl


def insert(store: Store, *keys: str, value: bytes = b"v", space: Space = Space.LEDGER) -> frozenset[str]:
    return store.commit([Group(space, dict.fromkeys(keys, value))])[0]


def test_the_first_insert_of_a_key_wins(store: Store) -> None:
    assert insert(store, "k", value=b"first") == frozenset()
    assert insert(store, "k", value=b"second") == {"k"}
    assert store.get(Space.LEDGER, ["k", "none"]) == {"k": b"first"}


def test_the_spaces_do_not_see_each_other(store: Store) -> None:
    insert(store, "k", value=b"ledger")
    assert insert(store, "k", value=b"objects", space=Space.OBJECTS) == frozenset()
    assert store.get(Space.OBJECTS, ["k"]) == {"k": b"objects"}


def test_a_lost_insert_keeps_the_deletes_of_its_group_back_and_no_other(store: Store) -> None:
    insert(store, "taken", "old", "older")
    lost = store.commit(
        [
            Group(Space.LEDGER, {"taken": b"", "new": b""}, ["old"]),
            Group(Space.LEDGER, {"another": b""}, ["older", "missing"]),
        ]
    )
    assert lost == [{"taken"}, frozenset()]
    assert set(store.get(Space.LEDGER, ["taken", "new", "old", "older", "another"])) == {
        "taken",
        "new",
        "old",
        "another",
    }


def test_no_groups_and_no_keys_are_nothing(store: Store) -> None:
    assert store.commit([]) == []
    assert store.commit([Group(Space.LEDGER)]) == [frozenset()]
    assert store.get(Space.LEDGER, []) == {}


@pytest.mark.parametrize("count", [1, 2, 8, 9, 17, 512, 513, 1400])
def test_any_number_of_keys_is_looked_up(store: Store, count: int) -> None:
    keys = [f"k{i}" for i in range(count)]
    insert(store, *keys[::2])
    assert sorted(store.get(Space.LEDGER, keys)) == sorted(keys[::2])


_KEYS = st.lists(
    st.text(
        st.sampled_from(["a", "b", "\x1f", "+", "é", "\ud7ff", "\ue000", "\U0010ffff", "\U00010000"]), max_size=4
    ),
    unique=True,
    max_size=12,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=_KEYS,
    prefix=st.text(st.sampled_from(["a", "\ud7ff", "\U0010ffff"]), max_size=2),
    after=st.text(st.sampled_from(["a", "b", "\ud7ff", "\U0010ffff"]), max_size=3),
    reverse=st.booleans(),
    limit=st.none() | st.integers(0, 5),
)
def test_a_scan_is_ordered_by_code_points(
    store: Store, keys: list[str], prefix: str, after: str, reverse: bool, limit: int | None
) -> None:
    store.commit([Group(Space.LEDGER, {}, [key for key, _ in store.scan(Space.LEDGER, "")])])
    insert(store, *keys)
    expected = sorted((key for key in keys if key.startswith(prefix)), reverse=reverse)
    if after:
        expected = [key for key in expected if (key < after if reverse else key > after)]
    found = store.scan(Space.LEDGER, prefix, after=after, reverse=reverse, limit=limit)
    assert [key for key, _ in found] == expected[:limit]


def test_threads_and_processes_at_once_each_win_what_they_insert_first(store_url: str, store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        waiting = pool.starmap_async(_insert_all, [(store_url, who) for who in range(3)])
        mine: list[int] = []
        threads = [threading.Thread(target=lambda: mine.append(_insert_into(store, "thread"))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = sum(waiting.get()) + sum(mine)
        pool.close()
        pool.join()
    assert won == 300
    assert len(store.scan(Space.LEDGER, "race")) == 300


def _insert_all(url: str, who: int) -> int:
    store = open_store(url, create=False)
    try:
        return _insert_into(store, str(who))
    finally:
        store.close()


def _insert_into(store: Store, who: str) -> int:
    return sum(not insert(store, f"race{i}", value=who.encode()) for i in range(300))


def test_the_id_stays_and_is_its_own(make_url: MakeUrl, store: Store) -> None:
    other = open_store(make_url("other"))
    again = open_store(store.url, create=False)
    assert again.id == store.id != other.id
    other.close()
    again.close()


def test_a_store_that_may_not_be_made_is_not(store_url: str) -> None:
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="no store at"):
            open_store(store_url, create=False)


def test_close_works_twice_and_ends_use(store_url: str) -> None:
    store = open_store(store_url)
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.get(Space.LEDGER, ["k"])


@pytest.mark.parametrize("size", [0, 1, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 9_000_001])
def test_a_blob_comes_back(store: Store, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    assert store.write_blob("t-some.blob_1", [memoryview(content)[: size // 2], b"", content[size // 2 :]]) == size
    assert bytes(store.read_blob("t-some.blob_1")) == content
    with store.open_blob("t-some.blob_1") as stream:
        stream.seek(max(0, size - 5))
        assert stream.read() == content[max(0, size - 5) :]


def test_writing_into_what_was_read_changes_nothing(store: Store) -> None:
    store.write_blob("b", [bytes(2 << 20)])
    view = memoryview(store.read_blob("b"))
    if not view.readonly:
        view[:3] = b"xyz"
    assert bytes(store.read_blob("b")[:3]) == bytes(3)


def test_a_blob_that_is_replaced_can_be_read_on_by_who_has_it(store: Store) -> None:
    store.write_blob("b", [b"a" * (2 << 20)])
    before = store.read_blob("b")
    store.write_blob("b", [b"b"], sync=False)
    assert bytes(store.read_blob("b")) == b"b"
    assert bytes(before[-3:]) == b"aaa"


def test_missing_blobs(store: Store) -> None:
    for method in (store.read_blob, store.open_blob):
        with pytest.raises(FileNotFoundError):
            method("none")
    assert store.touch_blob("none") is False
    store.delete_blobs(["none"])


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../a", "UPPER", "a" * 201, "a b", "a\n"])
def test_a_name_that_no_blob_has_is_refused(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a blob"):
        store.write_blob(name, [b""])


def test_blobs_are_listed_by_prefix(store: Store) -> None:
    for name in ("o-1", "o-2", "t-1"):
        store.write_blob(name, [b"abc"])
    assert store.touch_blob("o-1") is True
    listed = {info.name: info for info in store.blobs("o-")}
    assert sorted(listed) == ["o-1", "o-2"]
    assert listed["o-1"].size == 3
    assert 0 <= listed["o-1"].age < 60
    store.delete_blobs(listed)
    assert [info.name for info in store.blobs()] == ["t-1"]


def test_a_writer_that_fails_leaves_the_old_blob_and_no_litter(store: Store) -> None:
    store.write_blob("b", [b"old"])

    def failing() -> Iterator[bytes]:
        yield b"new"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        store.write_blob("b", failing())
    assert bytes(store.read_blob("b")) == b"old"
    store.sweep_litter(0)
    assert [info.name for info in store.blobs()] == ["b"]
