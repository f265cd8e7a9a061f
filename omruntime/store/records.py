"""What is written about an object: one record for every revision, never changed once it is there."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from omruntime.errors import SerializationError
from omruntime.store.metadata import Metadata

__all__ = ["BlobRef", "Record", "Row", "base_key", "decode", "encode", "row_of", "settled"]

# Sorts below every character that a name may hold, so that the revisions of one name lie together, in order.
_SEPARATOR = "\x1f"
SETTLED = "+"
"""Ends the key of a record that was staged by a task, once that task has won."""


class BlobRef(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A blob of an object; with a signature when loading it runs code."""

    name: str
    size: int = 0
    mac: bytes = b""
    key_id: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One revision of an object."""

    uid: str
    version: int
    """Revision at which the content was put."""
    kind: str
    created: dt.datetime
    modified: dt.datetime
    detail: dict[str, Any] = {}
    blobs: tuple[BlobRef, ...] = ()
    attributes: dict[str, Any] = {}
    own: tuple[str, ...] = ()
    """Attributes that the kind gave; they go when another content comes."""
    tag: str | None = None
    dropped: bool = False
    recent: tuple[bytes, ...] = ()
    """Marks of the last operations that this revision builds on."""
    task: str = ""
    attempt: int = 0
    kept: bool = False
    """It counts with whatever final end of its attempt, not only with success."""

    @property
    def staged(self) -> bool:
        """True while it is not known whether the task that wrote it has won."""
        return bool(self.task)


class Row(msgspec.Struct, frozen=True):
    """A record and where it is."""

    key: str
    revision: int
    record: Record

    def metadata(self, name: str, bucket: str, prefix: str) -> Metadata:
        """Return what users see of it."""
        record = self.record
        return Metadata(
            *(name, bucket, prefix, record.kind, record.attributes, record.created, record.modified),
            tag=record.tag,
            version=record.version,
            uid=record.uid,
            revision=self.revision,
        )


def base_key(bucket: str, prefix: str, name: str | None = None) -> str:
    """Return how the keys of all revisions of an object begin, or those of all objects of a store."""
    base = f"{bucket}{_SEPARATOR}{prefix}{_SEPARATOR}"
    return base if name is None else f"{base}{name}{_SEPARATOR}"


def revision_key(base: str, revision: int) -> str:
    """Return the key of one revision of the object whose keys begin with ``base``."""
    return f"{base}{revision:016x}"


def name_of(key: str) -> str:
    """Return the name of the object in the key of one of its revisions."""
    return key.split(_SEPARATOR)[2]


def row_of(key: str, value: bytes) -> Row:
    """Return the row of a key and its value as the store gives them."""
    return Row(key, int(key.rpartition(_SEPARATOR)[2].removesuffix(SETTLED), 16), decode(value))


_encoder = msgspec.msgpack.Encoder(enc_hook=lambda value: _plain(value))
_decoder = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """Return the bytes of a record.

    Raises:
        SerializationError: an attribute is not plain data.
    """
    try:
        return _encoder.encode(record)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise SerializationError(
            f"attributes of metadata are plain data (None, bool, int, float, str, bytes, list, dict, datetime): {exc}"
        ) from exc


def settled(record: Record) -> bytes:
    """Return the bytes of a record that was staged, as it is once it counts."""
    return encode(msgspec.structs.replace(record, task="", attempt=0, kept=False))


def decode(value: bytes) -> Record:
    """Return the record of its bytes."""
    return _decoder.decode(value)


def _plain(value: Any) -> Any:
    # Scalars and arrays of numpy come into attributes by way of best parameters and scores.
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"not {type(value).__module__}.{type(value).__qualname__}")
