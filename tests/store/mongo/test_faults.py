"""A server that is killed and started again: nothing that was acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from omruntime_conformance.mongodb import MongoServer
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect

from omruntime.abc import Group, Space, Store
from omruntime.errors import StoreUnavailable
from omruntime.store import ObjectStore, open_store
from omruntime.store.mongo.connection import Document
from tests.store.conftest import AUTH
from tests.stores import real_mongodb


def claim(key: str, value: bytes = b"mine") -> list[Group]:
    return [Group(Space.LEDGER, {key: value})]


@pytest.fixture
def server() -> Iterator[MongoServer]:
    """Give a server that may be killed."""
    with real_mongodb() as started:
        if not isinstance(started, MongoServer):
            pytest.skip(f"not exercised: {started}")
        if not started.is_ours:
            pytest.skip("not exercised: the server of these tests is not theirs to kill")
        yield started


@pytest.fixture
def mortal(server: MongoServer) -> Iterator[Store]:
    """Give a store on it."""
    opened = open_store(server.url("mortal"))
    yield opened
    opened.close()


def test_what_was_acknowledged_survives_and_what_waits_goes_on(mortal: Store, server: MongoServer) -> None:
    store = mortal
    for number in range(20):
        store.commit(claim(f"before{number}"))
    store.write_blob("b", [bytes(1 << 20)])
    server.kill()
    waiting = threading.Thread(target=lambda: store.commit(claim("while it was away")))
    waiting.start()
    server.start()
    waiting.join(60)
    assert not waiting.is_alive()
    assert len(store.scan(Space.LEDGER, "before")) == 20
    assert store.get(Space.LEDGER, ["while it was away"]) == {"while it was away": b"mine"}
    assert bytes(store.read_blob("b")) == bytes(1 << 20)


def test_a_server_that_stays_away_is_told(server: MongoServer) -> None:
    store = open_store(server.url("away") + "?serverSelectionTimeoutMS=400")
    server.kill()
    with pytest.raises(StoreUnavailable, match=r"waited \d+\.\d s"):
        store.get(Space.LEDGER, ["k"])
    store.close()


def test_closing_ends_who_waits(mortal: Store, server: MongoServer) -> None:
    failures: list[Exception] = []

    def ask() -> None:
        try:
            mortal.get(Space.LEDGER, ["k"])
        except StoreUnavailable as exc:
            failures.append(exc)

    server.kill()
    waiting = threading.Thread(target=ask)
    waiting.start()
    mortal.close()
    waiting.join(60)
    assert not waiting.is_alive()
    assert len(failures) == 1


class _Deaf:
    """Loses the acknowledgement of the next insert: it is written, and the connection is lost."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.before: Callable[[Collection[Document]], object] = lambda _collection: None
        self.lost = 0
        for name in ("insert_one", "insert_many"):
            monkeypatch.setattr(Collection, name, self._deaf(getattr(Collection, name)))

    def _deaf(self, insert: Callable[..., object]) -> Callable[..., object]:
        def wrapped(collection: Collection[Document], *args: object, **options: object) -> object:
            if self.lost:
                return insert(collection, *args, **options)
            self.lost = 1
            self.before(collection)
            insert(collection, *args, **options)
            raise AutoReconnect("connection closed")

        return wrapped


def test_an_insert_whose_acknowledgement_was_lost_is_settled_by_reading_it_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Deaf(monkeypatch)
    assert store.commit(claim("one")) == [frozenset()]
    assert store.commit(claim("one", b"theirs")) == [{"one"}]


def test_so_is_a_group_of_which_others_have_a_part(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.commit(claim("b", b"theirs"))
    for groups in (
        [Group(Space.LEDGER, {"a": b"mine", "b": b"mine", "c": b"mine"})],
        [Group(Space.LEDGER, {key: b"mine"}) for key in ("d", "b", "e")],
    ):
        with monkeypatch.context() as patch:
            deaf = _Deaf(patch)
            deaf.before = lambda _collection: None
            lost = [key for each in store.commit(groups) for key in each]
        assert lost == ["b"]
    assert {key for key, value in store.scan(Space.LEDGER, "") if value == b"mine"} == {"a", "c", "d", "e"}


def test_an_insert_that_another_has_made_meanwhile_is_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(_collection: Collection[Document]) -> None:
        store.commit(claim("k", b"theirs"))

    insert = Collection.insert_one
    calls = []

    def lost_on_its_way(collection: Collection[Document], *args: object) -> object:
        calls.append(args)
        if len(calls) == 1:
            other(collection)
            raise AutoReconnect("connection closed")
        return insert(collection, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Collection, "insert_one", lost_on_its_way)
    assert store.commit(claim("k")) == [{"k"}]
    assert store.get(Space.LEDGER, ["k"]) == {"k": b"theirs"}


def test_puts_while_the_server_is_killed_leave_each_object_whole(mortal: Store, server: MongoServer) -> None:
    datasets = ObjectStore(mortal, "data/", bucket="tests", auth=AUTH)
    content = {number: bytes([number]) * 600_000 for number in range(40)}
    third = threading.Event()

    def put_all() -> None:
        for number, value in content.items():
            datasets.put(value, f"d{number}")
            if number == 3:
                third.set()

    putting = threading.Thread(target=put_all)
    putting.start()
    for _ in range(3):
        assert third.wait(60)
        server.kill()
        server.start()
    putting.join(110)
    assert not putting.is_alive()
    assert len(datasets.list()) == len(content)
    assert all(datasets.get(f"d{number}") == value for number, value in content.items())
