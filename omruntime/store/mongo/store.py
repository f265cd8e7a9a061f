"""`MongoStore`: the `Store` of many machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, ClassVar, Self

from omruntime.abc.store import BlobInfo, Buffer, Group, Space, Store
from omruntime.logins import remember
from omruntime.store.mongo.blobs import GridBlobs
from omruntime.store.mongo.connection import Connection
from omruntime.store.mongo.creation import open_schema
from omruntime.store.mongo.location import Location
from omruntime.store.mongo.records import Records

__all__ = ["MongoStore"]


class MongoStore(Store):
    """Records as documents, blobs in GridFS.

    What was written is on the disks of a majority of a replica set, or in the journal of a server that is alone: it
    survives kill -9 of every process, and a power cut of the server as far as its disks do what they say.
    """

    schemes: ClassVar[tuple[str, ...]] = ("mongodb", "mongodb+srv")

    def __init__(self, connection: Connection, id: str) -> None:
        self._connection = connection
        self._id = id
        self._records = Records(connection)
        self._blobs = GridBlobs(connection)

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Open the store at ``mongodb://host/database``, see `Store.open`."""
        connection = Connection(Location.parse(url))
        try:
            # What the server is decides how it is written to, so it comes first.
            _ = connection.server
            store = cls(connection, open_schema(connection, create=create))
        except BaseException:
            connection.close()
            raise
        remember(connection.location.address)
        return store

    @property
    def id(self) -> str:
        """Identity of the store, made once when it was created."""
        return self._id

    @property
    def url(self) -> str:
        """What another process can open it with that has a login for it."""
        return self._connection.location.url

    def commit(self, groups: Sequence[Group]) -> list[frozenset[str]]:
        """Write groups in order; see `Store.commit`."""
        return self._records.commit(groups)

    def get(self, space: Space, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the records of these keys."""
        return self._records.get(space, keys)

    def scan(
        self, space: Space, prefix: str, *, after: str = "", reverse: bool = False, limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        """Return records whose key begins with ``prefix`` in order, see `Store.scan`."""
        return self._records.scan(space, prefix, after, reverse, limit)

    def write_blob(self, name: str, chunks: Iterable[Buffer], *, sync: bool = True) -> int:
        """Write a blob, see `Store.write_blob`; it survives a power cut whether or not ``sync`` asks for that."""
        return self._blobs.write(name, chunks)

    def touch_blob(self, name: str) -> bool:
        """Make the blob young again; False when there is none."""
        return self._blobs.touch(name)

    def read_blob(self, name: str) -> Buffer:
        """Return the whole content, which can be written to."""
        return self._blobs.read(name)

    def open_blob(self, name: str) -> BinaryIO:
        """Open a blob; reading on raises FileNotFoundError where it is deleted or replaced meanwhile."""
        return self._blobs.open(name)

    def delete_blobs(self, names: Iterable[str]) -> None:
        """Delete blobs; missing ones are fine."""
        self._blobs.delete(names)

    def blobs(self, prefix: str = "") -> Iterator[BlobInfo]:
        """List the blobs whose name begins with ``prefix``."""
        return self._blobs.list(prefix)

    def sweep_litter(self, age: float) -> None:
        """Remove chunks of blobs that were never finished, and are older than ``age`` seconds."""
        self._blobs.sweep(age)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"<MongoStore {self.url}>"
