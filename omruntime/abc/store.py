"""The interface of a store: insert unless the key exists, look up by key, delete; and blobs.

Nothing here is ever read, modified and written back, so that any database with a unique key can be a store.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar, Self, TypeAlias

__all__ = ["BlobInfo", "Buffer", "Group", "Space", "Store"]

Buffer: TypeAlias = bytes | bytearray | memoryview


class Space(enum.Enum):
    """The two independent key spaces of a store."""

    OBJECTS = "objects"
    """Metadata of stored objects."""
    LEDGER = "ledger"
    """Facts about tasks and hosts."""


@dataclass(frozen=True, slots=True)
class Group:
    """Records that are written together: all inserts, then, if every insert has won, the deletes.

    A store that has transactions applies a group atomically. One that has none applies the inserts in order and the
    deletes last: whoever builds a group orders the inserts so that the first one decides.
    """

    space: Space
    inserts: Mapping[str, bytes] = field(default_factory=dict)
    """Key to value; an insert whose key exists changes nothing and is reported as lost."""
    deletes: Sequence[str] = ()
    """Keys to delete, missing ones are fine; nothing is deleted where an insert was lost."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One blob, as `Store.blobs` lists it."""

    name: str
    size: int
    """Bytes."""
    age: float
    """Seconds since it was last written or touched, by the clock of the store."""


class Store(ABC):
    """Records and blobs of one store, safe for many threads and processes at once."""

    schemes: ClassVar[tuple[str, ...]]
    """URL schemes that it opens."""

    @classmethod
    @abstractmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Open the store at ``url``; make it first where there is none and ``create`` is true.

        Raises:
            StoreUnavailable: it cannot be opened, is no store, or does not exist and may not be created.
            VersionMismatch: its schema is newer than this program.
        """

    @property
    @abstractmethod
    def id(self) -> str:
        """Identity of the store, made once when it was created."""

    @property
    @abstractmethod
    def url(self) -> str:
        """What another process can open it with, without credentials."""

    @abstractmethod
    def commit(self, groups: Sequence[Group]) -> list[frozenset[str]]:
        """Write groups in order, durably, and return for each the keys whose insert was lost.

        Durable: survives kill -9 of every process; each store says what a power cut may lose.
        """

    @abstractmethod
    def get(self, space: Space, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the records of these keys, leaving out missing ones, read from one moment where possible."""

    @abstractmethod
    def scan(
        self, space: Space, prefix: str, *, after: str = "", reverse: bool = False, limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        """Return records whose key begins with ``prefix``, ordered by key in code point order.

        Args:
            space: key space to look in.
            prefix: what the keys begin with.
            after: start behind this key (before it, when ``reverse``); empty for the first page.
            reverse: from the highest key down.
            limit: how many at the most.
        """

    def generation(self, space: Space) -> object:
        """Return a value that is another one whenever a record of the space may have changed since it was last asked.

        None, the default, where the store cannot tell that for much less than a look-up costs.
        """
        return None

    @abstractmethod
    def write_blob(self, name: str, chunks: Iterable[Buffer], *, sync: bool = True) -> int:
        """Write a blob whole or not at all, replacing one of the same name, and return its size in bytes.

        Args:
            name: 1 to 200 characters of ``a-z 0-9 . _ -``.
            chunks: the content, streamed: never held in memory as a whole.
            sync: also survive a power cut.
        """

    @abstractmethod
    def touch_blob(self, name: str) -> bool:
        """Make the blob young again; False when there is none."""

    @abstractmethod
    def read_blob(self, name: str) -> Buffer:
        """Return the whole content, without a copy where the store can map it.

        Raises:
            FileNotFoundError: there is no such blob.
        """

    @abstractmethod
    def open_blob(self, name: str) -> BinaryIO:
        """Open a blob as a seekable binary stream.

        Raises:
            FileNotFoundError: there is no such blob.
        """

    @abstractmethod
    def delete_blobs(self, names: Iterable[str]) -> None:
        """Delete blobs; missing ones are fine."""

    @abstractmethod
    def blobs(self, prefix: str = "") -> Iterator[BlobInfo]:
        """List the blobs whose name begins with ``prefix``, in any order."""

    @abstractmethod
    def sweep_litter(self, age: float) -> None:
        """Remove what writers that died left half-written, where it is older than ``age`` seconds."""

    @abstractmethod
    def close(self) -> None:
        """Free connections and files; a second call does nothing."""
