"""Blobs in GridFS: read by its own tools, streamed, and whole whatever happens to their writer."""

from __future__ import annotations

import datetime as dt
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from gridfs import GridFSBucket
from pymongo.database import Database

from omruntime.abc import Store
from omruntime.errors import StoreUnavailable
from omruntime.store.mongo import blobs
from omruntime.store.mongo.streams import CHUNK_SIZE

MIB = 1 << 20


def content(size: int) -> bytes:
    return hashlib.shake_256(b"content").digest(size)


def chunks_of(database: Database[dict[str, Any]]) -> int:
    return int(database[blobs.CHUNKS].count_documents({}))


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE])
def test_tools_of_gridfs_read_what_is_written(size: int, store: Store, database: Database[dict[str, Any]]) -> None:
    store.write_blob("o-x", [content(size)])
    with GridFSBucket(database, "blobs").open_download_stream_by_name("o-x") as stream:
        assert stream.read() == content(size)


def test_any_part_of_a_blob_is_read_alone(store: Store) -> None:
    whole = content(5 * CHUNK_SIZE + 7)
    store.write_blob("b", [whole])
    with store.open_blob("b") as stream:
        for start, count in ((0, 3), (CHUNK_SIZE - 2, 4), (CHUNK_SIZE, CHUNK_SIZE), (4 * CHUNK_SIZE, 2 * CHUNK_SIZE)):
            stream.seek(start)
            assert stream.read(count) == whole[start : start + count]
        stream.seek(-5, 2)
        assert stream.read() == whole[-5:]
        stream.seek(len(whole) + 10)
        assert stream.read() == b""
        with pytest.raises((ValueError, OSError)):
            stream.seek(-1)


def test_who_reads_a_blob_that_is_deleted_meanwhile_is_told(store: Store) -> None:
    store.write_blob("b", [content(3 * CHUNK_SIZE)])
    with store.open_blob("b") as stream:
        stream.read(10)
        store.delete_blobs(["b"])
        with pytest.raises(FileNotFoundError, match="deleted or replaced"):
            stream.read()


def test_nothing_is_left_of_what_was_deleted_or_replaced(store: Store, database: Database[dict[str, Any]]) -> None:
    store.write_blob("b", [content(3 * CHUNK_SIZE)])
    store.write_blob("b", [content(CHUNK_SIZE)])
    assert chunks_of(database) == 1
    store.delete_blobs(["b"])
    assert chunks_of(database) == 0


def stop_in_the_middle() -> Iterator[bytes]:
    yield content(40 * CHUNK_SIZE)
    raise KeyboardInterrupt


def test_chunks_without_a_blob_go_once_they_are_old(
    store: Store, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_blob("kept", [content(2 * CHUNK_SIZE)])
    # As if the writer had been killed: what it does at its end is left out.
    monkeypatch.setattr(blobs.GridBlobs, "_discard", lambda _self, _upload: None)
    with pytest.raises(KeyboardInterrupt):
        store.write_blob("left", stop_in_the_middle())
    left = chunks_of(database) - 2
    assert left == 32
    store.sweep_litter(0)
    assert chunks_of(database) == left + 2, "a writer that may go on has lost what it wrote"
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    database[blobs.CHUNKS].update_many({"files_id": "left"}, {"$set": {"written": long_ago}})
    store.sweep_litter(7200)
    assert chunks_of(database) == left + 2
    store.sweep_litter(1800)
    assert chunks_of(database) == 2
    assert bytes(store.read_blob("kept")) == content(2 * CHUNK_SIZE)


def test_a_writer_that_stood_still_until_it_was_swept_says_so_and_leaves_nothing(
    store: Store, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "_PROMPT", 0.0)

    def slow() -> Iterator[bytes]:
        yield content(32 * CHUNK_SIZE)
        yield content(CHUNK_SIZE)
        long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
        database[blobs.CHUNKS].update_many({}, {"$set": {"written": long_ago}})
        store.sweep_litter(0)

    with pytest.raises(StoreUnavailable, match="stood still"):
        store.write_blob("b", slow())
    assert chunks_of(database) == 0
    with pytest.raises(FileNotFoundError):
        store.open_blob("b")


def test_content_streams_in_bounded_memory(store_url: str) -> None:
    program = f"""
import hashlib, resource
from omruntime.store import open_store
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store = open_store({store_url!r})
store.write_blob("warm", [bytes(9 << 20)])
with store.open_blob("warm") as stream:
    stream.read(1 << 20)
before = peak()
written, read = hashlib.sha256(), hashlib.sha256()
def pieces():
    for number in range(50):
        piece = bytes([number]) * (1 << 20)
        written.update(piece)
        yield piece
store.write_blob("b", pieces())
with store.open_blob("b") as stream:
    while piece := stream.read(1 << 20):
        read.update(piece)
assert written.digest() == read.digest()
store.close()
print(peak() - before)
"""
    grown = int(subprocess.check_output([sys.executable, "-c", program], text=True))
    assert grown < 30_000 * (1024 if sys.platform == "darwin" else 1)
