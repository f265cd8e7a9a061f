"""Content-addressed blobs as they are written: their content can be had again until their record is there."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import BinaryIO, Protocol, Self, cast, runtime_checkable

from omruntime.abc.store import Buffer, Store

__all__ = ["NewBlobs"]

_PIECE = 4 << 20


@runtime_checkable
class _Addressed(Protocol):
    """A store that names blobs by their digest while it writes them, and whose open ones outlive their deletion."""

    def write_addressed(self, prefix: str, chunks: Iterable[Buffer]) -> tuple[str, int]: ...


class NewBlobs:
    """Blobs that one put writes.

    Where the store can neither name them while it writes nor keep open what is deleted, the content is spooled: up to
    4 MB in memory, above that on the local disk.

    Args:
        store: where they go.
        prefix: how their names begin.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._spools: dict[str, BinaryIO] = {}
        self._open = ExitStack()

    def write(self, chunks: Iterable[Buffer]) -> tuple[str, int]:
        """Write a blob, or make it young where it is there already, and return its name and size in bytes."""
        if isinstance(self._store, _Addressed):
            return self._store.write_addressed(self._prefix, chunks)
        hashed = hashlib.sha256()
        spool = cast("BinaryIO", self._open.enter_context(tempfile.SpooledTemporaryFile(_PIECE)))  # noqa: SIM115
        for chunk in chunks:
            hashed.update(chunk)
            spool.write(chunk)
        name = self._prefix + hashed.hexdigest()
        self._spools[name] = spool
        size = spool.tell()
        self._renew(name, spool)
        return name, size

    def hold(self, names: Iterable[str]) -> None:
        """Have the content of blobs at hand, whatever becomes of them in the store.

        Raises:
            FileNotFoundError: one is gone already.
        """
        for name in names:
            if name not in self._spools:
                self._store.touch_blob(name)
                self._spools[name] = self._open.enter_context(self._store.open_blob(name))

    def restore(self, names: Iterable[str]) -> None:
        """Make blobs that are held young, and write those again that are gone."""
        for name in names:
            self._renew(name, self._spools[name])

    def _renew(self, name: str, content: BinaryIO) -> None:
        if not self._store.touch_blob(name):
            content.seek(0)
            self._store.write_blob(name, _pieces(content))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece
