"""Blobs on their way: sent once, never in memory as a whole, and believed by their digests alone."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from omruntime.abc import Buffer, Group, Space, Store
from omruntime.errors import CopyRefused, StoreUnavailable
from omruntime.store.content import doom_key
from omruntime.store.copying import Blobs, Tally
from omruntime.store.copying.blobs import ContentLost
from tests.store.copying.conftest import INTO

pytestmark = pytest.mark.parametrize("urls", INTO, ids="-".join, indirect=True)

LARGE = 50 << 20
BOUND = 40 << 20


def put(store: Store, content: bytes) -> str:
    name = "o-" + hashlib.sha256(content).hexdigest()
    store.write_blob(name, [content])
    return name


def blobs_of(source: Store, target: Store, *, replace: bool = False) -> tuple[Blobs, Tally]:
    tally = Tally()
    return Blobs(source, target, tally, replace=replace), tally


def test_a_blob_is_sent_once_and_then_known_by_its_digest(source: Store, target: Store) -> None:
    name = put(source, b"content")
    source.write_blob("t-task-r1-0", [b"a value"])
    for sent in (2, 0):
        blobs, tally = blobs_of(source, target)
        for each in (name, "t-task-r1-0", name):
            blobs.bring(each)
        assert (tally.blobs, tally.kept) == (sent, 2 - sent)
        assert tally.done == len(b"content") + len(b"a value")
    assert (bytes(target.read_blob(name)), bytes(target.read_blob("t-task-r1-0"))) == (b"content", b"a value")


def test_what_is_damaged_or_gone_in_the_source_is_not_copied(source: Store, target: Store) -> None:
    name = "o-" + "0" * 64
    blobs, _ = blobs_of(source, target)
    with pytest.raises(ContentLost, match="gone"):
        blobs.bring(name)
    source.write_blob(name, [b"not what it was"])
    with pytest.raises(ContentLost, match="damaged"):
        blobs.bring(name)
    assert list(target.blobs()) == []


def test_what_is_damaged_in_the_target_is_sent_again(source: Store, target: Store) -> None:
    name = put(source, b"content")
    target.write_blob(name, [b"CONTENT"])
    blobs, tally = blobs_of(source, target)
    blobs.bring(name)
    assert (tally.blobs, bytes(target.read_blob(name))) == (1, b"content")


def test_another_value_of_a_task_is_replaced_only_where_that_is_asked_for(source: Store, target: Store) -> None:
    source.write_blob("t-task-r1-0", [b"ours"])
    target.write_blob("t-task-r1-0", [b"theirs"])
    blobs, _ = blobs_of(source, target)
    with pytest.raises(CopyRefused, match=r"t-task-r1-0.*--replace"):
        blobs.bring("t-task-r1-0")
    assert bytes(target.read_blob("t-task-r1-0")) == b"theirs"
    blobs, _ = blobs_of(source, target, replace=True)
    blobs.bring("t-task-r1-0")
    assert bytes(target.read_blob("t-task-r1-0")) == b"ours"


def test_a_large_blob_is_never_in_memory_as_a_whole(source: Store, target: Store) -> None:
    piece = bytes(range(256)) * 4096
    hashed = hashlib.sha256(piece * 50)
    name = "o-" + hashed.hexdigest()
    source.write_blob(name, (piece for _ in range(LARGE // len(piece))))
    del hashed
    blobs, tally = blobs_of(source, target)
    tracemalloc.start()
    try:
        blobs.bring(name)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert tally.bytes == LARGE
    assert peak < BOUND


def test_a_target_that_gives_back_something_else_is_noticed(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(source, b"content")
    write = target.write_blob

    def flip(name: str, chunks: Iterable[Buffer], **options: Any) -> int:
        return write(name, (bytes(chunk).upper() for chunk in chunks), **options)

    monkeypatch.setattr(target, "write_blob", flip)
    blobs, _ = blobs_of(source, target)
    with pytest.raises(StoreUnavailable, match="given back"):
        blobs.bring(name)


def test_what_a_sweeper_of_the_target_takes_is_sent_again(source: Store, target: Store) -> None:
    name = put(source, b"content")
    blobs, _ = blobs_of(source, target)
    blobs.bring(name)
    target.delete_blobs([name])
    blobs.confirm([name])
    assert bytes(target.read_blob(name)) == b"content"
    for store in (source, target):
        store.delete_blobs([name])
    with pytest.raises(StoreUnavailable, match=r"gone, and a sweeper"):
        blobs.confirm([name])


def test_a_sweeper_that_has_announced_itself_is_waited_for(source: Store, target: Store) -> None:
    name = put(source, b"content")
    blobs, _ = blobs_of(source, target)
    blobs.bring(name)
    target.commit([Group(Space.OBJECTS, {doom_key(name): b"sweeper 1"})])

    def sweeping() -> Iterator[None]:
        # It deletes and takes its mark away between two looks of whoever waits for it.
        target.delete_blobs([name])
        target.commit([Group(Space.OBJECTS, {}, [doom_key(name)])])
        yield

    looks, get = sweeping(), target.get

    def look(space: Space, keys: Iterable[str]) -> dict[str, bytes]:
        found = get(space, keys)
        next(looks, None)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "get", look)
        blobs.confirm([name])
    assert bytes(target.read_blob(name)) == b"content"
