"""The interface of a kind: how objects of some types are stored and loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar, Protocol

from omruntime.abc.store import Buffer

__all__ = ["BlobReader", "BlobWriter", "Kind", "Stored"]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a kind leaves behind for an object: plain data for its record, and the names of its blobs."""

    detail: dict[str, Any] = field(default_factory=dict)
    """Plain values (None, bool, int, float, str, bytes, list, dict) that `Kind.load` needs, kept in the record."""
    blobs: tuple[str, ...] = ()
    """Blobs that the object consists of; a blob that no record names is swept."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """What a user sees in ``Metadata.attributes``."""


class BlobReader(Protocol):
    """Where a kind reads the content of an object."""

    def read(self, name: str, *, pickled: bool = False) -> Buffer:
        """Return a whole blob.

        Args:
            name: the blob.
            pickled: it runs code when it is loaded, so it must be signed, and the signature must fit; a blob that was
                written as such is checked in any case.

        Raises:
            SignatureError: it is unsigned, altered, or signed with a key that is not ours.
        """

    def open(self, name: str) -> BinaryIO:
        """Open a blob as a seekable stream."""


class BlobWriter(BlobReader, Protocol):
    """Where a kind writes the content of an object, and reads what is there when it appends."""

    def write(self, chunks: Iterable[Buffer], *, pickled: bool = False) -> str:
        """Write a content-addressed blob and return its name.

        Args:
            chunks: the content, streamed.
            pickled: the content is executable when loaded: it is signed, and refused on load when altered.
        """


class Kind(ABC):
    """How objects of some types are stored and loaded.

    Importing a kind imports none of the libraries whose objects it stores; `supports` decides by what is already
    imported, since an object of a type cannot exist before its module does.
    """

    name: ClassVar[str]
    """Name of the kind in metadata, like ``pandas.dfrows``."""
    prefixes: ClassVar[tuple[str, ...]]
    """Stores that hold it: ``data/``, ``models/``, ``scripts/``, ``jobs/``."""
    priority: ClassVar[int] = 0
    """Among kinds that support an object the highest wins."""

    @abstractmethod
    def supports(self, obj: object, prefix: str) -> bool:
        """Tell whether ``put(obj)`` in the store of ``prefix`` is for this kind."""

    @abstractmethod
    def put(
        self, obj: Any, name: str, writer: BlobWriter, *, previous: Stored | None = None, **options: Any
    ) -> Stored:
        """Write an object and return what to record.

        Args:
            obj: the object.
            name: the name it is stored under.
            writer: where its content goes.
            previous: what is stored under the name at present, when the user asked to append to it.
            **options: keyword arguments of ``put``; an unknown one is a TypeError.
        """

    @abstractmethod
    def load(self, stored: Stored, reader: BlobReader, **options: Any) -> Any:
        """Load the object, or the part of it that ``options`` select."""
