"""Blobs read piece by piece: chunk after chunk, each looked up by its id."""

from __future__ import annotations

import io
import itertools
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple, Self, cast

from omruntime.abc.store import Buffer
from omruntime.store.mongo.connection import Connection, Document
from omruntime.store.mongo.records import find_documents

__all__ = ["CHUNK_SIZE", "BlobStream", "Upload", "batches", "open_stream"]

CHUNK_SIZE = 255 * 1024
"""Bytes of a chunk, as GridFS has them."""
_AT_ONCE = 32
_KEPT = 4


class Upload(NamedTuple):
    """One upload of a blob's content."""

    id: str
    size: int
    """Bytes in all."""
    chunk_size: int = CHUNK_SIZE
    """Bytes of each chunk but the last."""

    @classmethod
    def of(cls, file: Document) -> Self:
        """Return the upload that the document of a file names."""
        return cls(file["metadata"]["upload"], file["length"], file["chunkSize"])

    def chunk_ids(self) -> list[str]:
        """Return the ids of all its chunks in order."""
        return [self.chunk_id(number) for number in range(-(-self.size // self.chunk_size))]

    def chunk_id(self, number: int) -> str:
        """Return the id of a chunk; those of first chunks sort before all others."""
        return f"{number:08x}-{self.id}"


def batches(chunks: Iterable[Buffer]) -> Iterator[list[bytes]]:
    """Cut content into lists of chunks, of which one list at a time is in memory."""
    pieces = _pieces(chunks)
    while batch := list(itertools.islice(pieces, _AT_ONCE)):
        yield batch


def _pieces(chunks: Iterable[Buffer]) -> Iterator[bytes]:
    held = bytearray()
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        while len(held) + len(view) >= CHUNK_SIZE:
            taken = CHUNK_SIZE - len(held)
            yield bytes(held) + view[:taken]
            held.clear()
            view = view[taken:]
        held += view
    if held:
        yield bytes(held)


class BlobStream(io.RawIOBase):
    """The content of one upload, read-only; it ends where its blob is deleted or replaced meanwhile.

    Args:
        connection: of the store.
        collection: where the chunks are.
        name: name of the blob.
        upload: what to read.
    """

    def __init__(self, connection: Connection, collection: str, name: str, upload: Upload) -> None:
        self.size = upload.size
        self._connection = connection
        self._collection = collection
        self._blob = name
        self._upload = upload
        self._at = 0
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def fill(self, start: int, target: memoryview) -> int:
        """Read from byte ``start`` on into ``target``, and return how many bytes there were.

        Raises:
            FileNotFoundError: the content was deleted or replaced meanwhile.
        """
        end = min(self.size, start + len(target))
        if start >= end:
            return 0
        size = self._upload.chunk_size
        numbers = range(start // size, -(-end // size))
        for place in range(0, len(numbers), _AT_ONCE):
            for number, data in self._chunks(numbers[place : place + _AT_ONCE]):
                low, high = max(start, number * size), min(end, number * size + len(data))
                target[low - start : high - start] = data[low - number * size : high - number * size]
        return end - start

    def _chunks(self, numbers: range) -> Iterator[tuple[int, bytes]]:
        kept = {number: self._kept[number] for number in numbers if number in self._kept}
        yield from kept.items()
        wanted = {self._upload.chunk_id(number): number for number in numbers if number not in kept}
        for number, data in self._look_up(wanted).items() if wanted else ():
            self._kept[number] = data
            yield number, data
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def _look_up(self, wanted: dict[str, int]) -> dict[int, bytes]:
        many = self._connection.server.indexes_many
        found = self._connection.use(
            lambda database: {
                wanted[each["_id"]]: each["data"]
                for each in find_documents(database[self._collection], list(wanted), many, ("data",))
            }
        )
        if len(found) < len(wanted):
            where = f"{self._connection.location.url}/{self._blob}"
            raise FileNotFoundError(2, "the blob was deleted or replaced while it was read", where)
        return found

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer from where the stream is."""
        count = self.fill(self._at, memoryview(buffer).cast("B"))
        self._at += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place; nothing is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return where the stream is, in bytes from the beginning."""
        return self._at

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True


def open_stream(stream: BlobStream) -> BinaryIO:
    """Return a stream of a blob as a file of Python's, with a buffer before it."""
    return cast("BinaryIO", io.BufferedReader(stream, CHUNK_SIZE))
