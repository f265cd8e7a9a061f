"""Blobs on their way from one store into another: streamed, and verified by their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from omruntime.abc.store import Store
from omruntime.errors import CopyRefused, StoreUnavailable
from omruntime.store.content import PREFIX, wait_for_sweepers
from omruntime.store.copying.tally import Tally

__all__ = ["Blobs", "ContentLost"]

_PIECE = 1 << 20
_LOOKS = 20


class ContentLost(Exception):
    """A blob of the source is gone, or is not what it was."""


class Blobs:
    """Brings blobs of one store into another.

    Args:
        source: where they are.
        target: where they are to be.
        tally: what is told of it.
        replace: replace another content that a blob has in the target.
    """

    def __init__(self, source: Store, target: Store, tally: Tally, *, replace: bool) -> None:
        self._source = source
        self._target = target
        self._tally = tally
        self._replace = replace
        self._verified: set[str] = set()

    def bring(self, name: str) -> None:
        """Have a blob in the target whose content was read back and is that of the source; at most once for a name.

        Raises:
            ContentLost: the source has it no more, or damaged.
            CopyRefused: the target has another content under its name.
        """
        if name in self._verified:
            return
        # One that is there becomes young, so that no sweeper takes it before its record has come.
        there, size = self._target_digest(name) if self._target.touch_blob(name) else ("", 0)
        if not there:
            self._send(name)
        elif there == (_named(name) or self._source_digest(name)):
            self._tally.kept += 1
            self._tally.done += size
        elif _named(name) or self._replace:
            # What is named by its digest and does not have it is damaged: no content of anybody's is lost.
            self._send(name)
        else:
            raise CopyRefused(
                f"{self._target.url} has another content of {name}; --replace puts that of {self._source.url} in its "
                "place",
                names=(name,),
            )
        self._verified.add(name)

    def confirm(self, names: Iterable[str]) -> None:
        """Return when blobs whose records are written will stay: what a sweeper took meanwhile is sent again.

        Raises:
            StoreUnavailable: the source has one of them no more.
        """
        names = list(names)
        if names:
            wait_for_sweepers(self._target, names)
        for name in names:
            if self._target.touch_blob(name):
                continue
            try:
                self._send(name)
            except ContentLost as exc:
                raise StoreUnavailable(
                    f"{self._source.url}: {exc}, and a sweeper has taken it from {self._target.url}; copy again"
                ) from exc

    def _send(self, name: str) -> None:
        hashed = hashlib.sha256()
        with self._opened(name) as stream:
            size = self._target.write_blob(name, self._outgoing(name, stream, hashed))
        # Another copy that writes the same at this moment may take away, as a store does, what is read here.
        given = next((digest for _ in range(_LOOKS) if (digest := self._target_digest(name)[0])), "")
        if given != hashed.hexdigest():
            raise StoreUnavailable(
                f"{self._target.url} has given back {name} with another content than was written: its disk, or the "
                "way to it, is damaged"
            )
        self._tally.blobs += 1
        self._tally.bytes += size

    def _outgoing(self, name: str, stream: BinaryIO, hashed: hashlib._Hash) -> Iterator[bytes]:
        """Yield a content, and fail behind its last piece where it is not what the name says: so it is not kept."""
        for piece in self._pieces(name, stream):
            hashed.update(piece)
            self._tally.done += len(piece)
            yield piece
        if _named(name) not in (None, hashed.hexdigest()):
            raise ContentLost(f"{name} is damaged")

    def _source_digest(self, name: str) -> str:
        with self._opened(name) as stream:
            return _digest(self._pieces(name, stream))[0]

    def _target_digest(self, name: str) -> tuple[str, int]:
        """Return digest and size of a blob as the target gives it; empty where it has none."""
        try:
            with self._target.open_blob(name) as stream:
                return _digest(_pieces(stream))
        except FileNotFoundError:
            return "", 0

    def _opened(self, name: str) -> BinaryIO:
        try:
            return self._source.open_blob(name)
        except FileNotFoundError:
            raise ContentLost(f"{name} is gone") from None

    def _pieces(self, name: str, stream: BinaryIO) -> Iterator[bytes]:
        """Read on; what goes wrong with reading must not look as if it had gone wrong with writing."""
        try:
            yield from _pieces(stream)
        except FileNotFoundError:
            raise ContentLost(f"{name} is gone") from None
        except OSError as exc:
            if isinstance(exc, StoreUnavailable):
                raise
            raise StoreUnavailable(f"the store at {self._source.url} fails: {exc.strerror or exc}") from exc


def _named(name: str) -> str | None:
    """Return the digest that a blob is named by; None for one that is not."""
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else None


def _digest(pieces: Iterable[bytes]) -> tuple[str, int]:
    hashed, size = hashlib.sha256(), 0
    for piece in pieces:
        hashed.update(piece)
        size += len(piece)
    return hashed.hexdigest(), size


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece
