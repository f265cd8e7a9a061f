"""Blobs in GridFS' collections: chunks first, and last the document that names them.

A blob is as GridFS has it (https://www.mongodb.com/docs/manual/core/gridfs/), so that its tools can read one. But the
``_id`` of a file is the blob's name, and that of a chunk its number and the upload that it belongs to: so everything
is looked up by ``_id``, an upload cannot mix with another one of the same name, and what was never finished is found
by looking at first chunks only. The first chunk is written before the others and deleted after them.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import BinaryIO

from bson import Binary
from pymongo.errors import BulkWriteError, DuplicateKeyError

from omruntime.abc.store import BlobInfo, Buffer
from omruntime.errors import StoreUnavailable
from omruntime.store.mongo.connection import Connection, Document, Documents
from omruntime.store.mongo.failures import duplicates
from omruntime.store.mongo.records import delete_documents, find_documents
from omruntime.store.mongo.streams import BlobStream, Upload, batches, open_stream
from omruntime.store.prefixes import end_of

__all__ = ["CHUNKS", "FILES", "GridBlobs", "index_chunks"]

FILES = "blobs.files"
CHUNKS = "blobs.chunks"
_NAME = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,199}")
_INDEX = "omruntime_chunks_of_a_file"
_FIRST = f"{0:08x}-"
_PROMPT = 30.0
"""Seconds between two writes of an upload up to which no sweeper can have taken it for abandoned."""
_ABANDONED = 120.0
"""Seconds without a write before which no sweeper does."""


def index_chunks(documents: Documents) -> None:
    """Make the index by which tools of GridFS, and the sweeper, find the chunks of a file."""
    documents[CHUNKS].create_index([("files_id", 1), ("n", 1)], name=_INDEX)


class _Pause:
    """The longest time between two writes.

    Attributes:
        longest: in seconds.
    """

    def __init__(self) -> None:
        self._last = time.monotonic()
        self.longest = 0.0

    def note(self) -> None:
        """Note that something was written."""
        now = time.monotonic()
        self.longest, self._last = max(self.longest, now - self._last), now


class GridBlobs:
    """The blobs of one store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, name: str, chunks: Iterable[Buffer]) -> int:
        """Write a blob whole or not at all and return its size.

        Raises:
            StoreUnavailable: it cannot be written, or so slowly that a sweeper took it for abandoned.
        """
        _check(name)
        upload = Upload(f"{time.time_ns():016x}{secrets.token_hex(6)}", 0)
        number, pause = 0, _Pause()
        try:
            for pieces in batches(chunks):
                upload = upload._replace(size=upload.size + sum(map(len, pieces)))
                self._insert_chunks(name, upload, number, pieces)
                number += len(pieces)
                pause.note()
            replaced = self._place(name, upload)
            pause.note()
            if pause.longest > _PROMPT:
                self._check_whole(name, upload)
        except BaseException:
            self._discard(upload)
            raise
        if replaced is not None:
            self._remove_chunks([replaced])
        return upload.size

    def _check_whole(self, name: str, upload: Upload) -> None:
        """Take a blob back that a sweeper has taken chunks of."""
        ids, many = upload.chunk_ids(), self._connection.server.indexes_many
        there = self._connection.use(
            lambda database: sum(1 for _ in find_documents(database[CHUNKS], ids, many, ("_id",)))
        )
        if there < len(ids):
            self._connection.use(lambda database: delete_documents(database[FILES], [name]))
            raise StoreUnavailable(
                f"writing to the store {self._connection.location.url} stood still for too long, and what was "
                "written was taken for abandoned; nothing was kept: try again"
            )

    def _discard(self, upload: Upload) -> None:
        try:
            self._remove_chunks([upload])
        except StoreUnavailable:
            # It is litter, and what has gone wrong before is on its way.
            return

    def _insert_chunks(self, name: str, upload: Upload, first: int, pieces: list[bytes]) -> None:
        written = self._date()
        documents: list[Document] = [
            {
                "_id": upload.chunk_id(number),
                "files_id": name,
                "n": number,
                "data": Binary(piece),
                "written": written,
            }
            for number, piece in enumerate(pieces, first)
        ]

        def work(database: Documents) -> None:
            if first == 0:
                _insert(database, documents[:1])
            _insert(database, documents[not first :])

        self._connection.use(work)

    def _place(self, name: str, upload: Upload) -> Upload | None:
        """Insert the document that makes a blob of chunks; return the upload that it has replaced."""
        file: Document = {
            "_id": name,
            "filename": name,
            "length": upload.size,
            "chunkSize": upload.chunk_size,
            "uploadDate": self._date(),
            "metadata": {"upload": upload.id},
        }

        def work(database: Documents) -> Upload | None:
            try:
                database[FILES].insert_one(file)
            except DuplicateKeyError:
                before = database[FILES].find_one_and_replace({"_id": name}, file, upsert=True)
                found = Upload.of(before) if before is not None else None
                return found if found is not None and found.id != upload.id else None
            return None

        return self._connection.use(work)

    def _date(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._connection.now(), dt.UTC)

    def touch(self, name: str) -> bool:
        """Make a blob young again; False when there is none."""
        younger = {"$set": {"uploadDate": self._date()}}
        return self._connection.use(
            lambda database: database[FILES].update_one({"_id": name}, younger).matched_count > 0
        )

    def read(self, name: str) -> Buffer:
        """Return the content, in memory that can be written to."""
        stream = self._stream(name)
        content = bytearray(stream.size)
        view = memoryview(content)
        stream.fill(0, view)
        return content

    def open(self, name: str) -> BinaryIO:
        """Open a blob as a seekable stream, of which a few chunks at a time are in memory."""
        return open_stream(self._stream(name))

    def _stream(self, name: str) -> BlobStream:
        file = self._connection.use(lambda database: database[FILES].find_one({"_id": name}))
        if file is None:
            raise FileNotFoundError(2, "no such blob", f"{self._connection.location.url}/{name}")
        return BlobStream(self._connection, CHUNKS, name, Upload.of(file))

    def delete(self, names: Iterable[str]) -> None:
        """Delete blobs; missing ones are fine."""
        wanted = list(dict.fromkeys(names))
        many = self._connection.server.indexes_many

        def work(database: Documents) -> list[Upload]:
            uploads = [Upload.of(file) for file in find_documents(database[FILES], wanted, many)]
            delete_documents(database[FILES], wanted)
            return uploads

        if wanted:
            self._remove_chunks(self._connection.use(work))

    def _remove_chunks(self, uploads: list[Upload]) -> None:
        ids = [id for upload in uploads for id in reversed(upload.chunk_ids())]
        self._connection.use(lambda database: delete_documents(database[CHUNKS], ids))

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """List the blobs whose name begins with ``prefix``."""
        wanted = {"_id": {"$gte": prefix, "$lt": end_of(prefix)}} if prefix else {}
        fields = ("length", "uploadDate")
        files = self._connection.use(lambda database: list(database[FILES].find(wanted, fields)))
        now = self._connection.now()
        for file in files:
            yield BlobInfo(file["_id"], file["length"], max(0.0, now - _seconds(file["uploadDate"])))

    def sweep(self, age: float) -> None:
        """Remove chunks that no blob has, where the youngest of their upload is older than ``age`` seconds.

        And older than two minutes: nothing else tells an upload that goes on from one whose writer was killed.
        """
        age = max(age, _ABANDONED)
        for name, upload in list(self._unnamed()):
            self._connection.use(partial(self._sweep, name, upload, age))

    def _unnamed(self) -> Iterator[tuple[str, str]]:
        """Return files and uploads that have a first chunk, and are not those of a blob."""
        first = {"_id": {"$gte": _FIRST, "$lt": end_of(_FIRST)}}
        found = self._connection.use(
            lambda database: [
                (each["files_id"], each["_id"].removeprefix(_FIRST))
                for each in database[CHUNKS].find(first, ("files_id",))
            ]
        )
        named = self._connection.use(
            lambda database: {each["metadata"]["upload"] for each in database[FILES].find({}, ("metadata.upload",))}
        )
        return (each for each in found if each[1] not in named)

    def _sweep(self, name: str, upload: str, age: float, database: Documents) -> None:
        chunks = list(database[CHUNKS].find({"files_id": name}, ("written",)).sort("n", -1))
        ours = [each for each in chunks if each["_id"].endswith(f"-{upload}")]
        if all(self._connection.now() - _seconds(each["written"]) >= age for each in ours):
            delete_documents(database[CHUNKS], [each["_id"] for each in ours])


def _insert(database: Documents, chunks: list[Document]) -> None:
    if chunks:
        try:
            database[CHUNKS].insert_many(chunks, ordered=False)
        except BulkWriteError as exc:
            # Nobody else has these ids: what is there was written, and its acknowledgement lost.
            duplicates(exc)


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a blob: 1 to 200 characters of a-z 0-9 . _ -, the first one no dot")


def _seconds(date: dt.datetime) -> float:
    # Dates come without a zone, and are UTC.
    return date.replace(tzinfo=dt.UTC).timestamp()
