"""Blobs as files: written beside, then renamed into place; mapped into memory when they are large."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import mmap
import os
import re
import secrets
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from omruntime.abc.store import BlobInfo, Buffer
from omruntime.store.sqlite.creation import sync_directory
from omruntime.store.sqlite.failures import file_failure

__all__ = ["MAPPED", "BlobFiles"]

MAPPED = 1 << 20
"""From this size on, in bytes, a blob is mapped and not read."""

_NAME = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,199}")
_PIECE = 4 << 20
_PARTIAL = "partial"


class BlobFiles:
    """The blobs below one directory, spread over 256 others."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._partial = root / _PARTIAL

    def write(self, name: str, chunks: Iterable[Buffer], *, sync: bool) -> int:
        """Write a blob whole or not at all and return its size."""
        _check(name)
        return self._write(chunks, lambda _digest: name, digest=False, sync=sync)[1]

    def write_addressed(self, prefix: str, chunks: Iterable[Buffer], suffix: str, *, sync: bool) -> tuple[str, int]:
        """Write a blob that is named ``<prefix><SHA-256 of the content><suffix>``, and return name and size."""
        chunks = iter(chunks)
        start, whole = _beginning(chunks)
        if whole:
            content = b"".join(start)
            name = prefix + hashlib.sha256(content).hexdigest() + suffix
            if self.touch(name):
                return name, len(content)
        everything = itertools.chain(start, chunks)
        return self._write(everything, lambda digest: prefix + digest + suffix, digest=True, sync=sync)

    def _write(
        self, chunks: Iterable[Buffer], name_by: Callable[[str], str], *, digest: bool, sync: bool
    ) -> tuple[str, int]:
        try:
            draft, descriptor = self._new_draft()
            try:
                size, hashed = _fill(descriptor, chunks, digest=digest, sync=sync)
                name = name_by(hashed)
                if not (digest and self.touch(name)):
                    self._place(draft, name, sync=sync)
                return name, size
            finally:
                draft.unlink(missing_ok=True)
                os.close(descriptor)
        except OSError as exc:
            raise file_failure(exc, self._root) from exc

    def _new_draft(self) -> tuple[Path, int]:
        """Make a file that is locked as long as its writer lives, so that a sweeper knows it from litter."""
        self._partial.mkdir(parents=True, exist_ok=True)
        while True:
            draft = self._partial / f"{os.getpid()}-{secrets.token_hex(8)}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            if _locked(descriptor) and draft.exists():
                return draft, descriptor
            os.close(descriptor)

    def _place(self, draft: Path, name: str, *, sync: bool) -> None:
        target = self._path(name)
        try:
            draft.rename(target)
        except FileNotFoundError:
            target.parent.mkdir(exist_ok=True)
            if sync:
                sync_directory(self._root)
            draft.rename(target)
        if sync:
            sync_directory(target.parent)

    def touch(self, name: str) -> bool:
        """Make a blob young again; False when there is none."""
        try:
            os.utime(self._path(name))
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise file_failure(exc, self._root) from exc
        return True

    def read(self, name: str) -> Buffer:
        """Return the content; of a large blob as a private mapping, which can be written without harm."""
        with self.open(name) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size < MAPPED:
                return stream.read()
            return memoryview(mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_COPY))

    def open(self, name: str) -> BinaryIO:
        """Open a blob as a seekable stream."""
        try:
            return self._path(name).open("rb")
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise file_failure(exc, self._root) from exc

    def delete(self, names: Iterable[str]) -> None:
        """Delete blobs; missing ones are fine."""
        for name in names:
            try:
                self._path(name).unlink(missing_ok=True)
            except OSError as exc:
                raise file_failure(exc, self._root) from exc

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """List the blobs whose name begins with ``prefix``."""
        try:
            for directory in sorted(self._root.iterdir()):
                if directory.name != _PARTIAL and directory.is_dir():
                    yield from _listed(directory, prefix)
        except OSError as exc:
            raise file_failure(exc, self._root) from exc

    def sweep(self, age: float) -> None:
        """Remove what was never finished, whose writer is dead, and is older than ``age`` seconds."""
        if not self._partial.is_dir():
            return
        for info in list(_listed(self._partial, "")):
            if info.age >= age:
                _remove_unlocked(self._partial / info.name)

    def _path(self, name: str) -> Path:
        _check(name)
        return self._root / f"{zlib.crc32(name.encode()) & 0xFF:02x}" / name


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a blob: 1 to 200 characters of a-z 0-9 . _ -, the first one no dot")


def _beginning(chunks: Iterator[Buffer]) -> tuple[list[memoryview], bool]:
    """Return the first chunks, none of them copied, and whether they are all there is."""
    found: list[memoryview] = []
    size = 0
    for chunk in chunks:
        found.append(memoryview(chunk).cast("B"))
        size += len(found[-1])
        if size >= MAPPED:
            return found, False
    return found, True


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_unlocked(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        if _locked(descriptor):
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _fill(descriptor: int, chunks: Iterable[Buffer], *, digest: bool, sync: bool) -> tuple[int, str]:
    hashed = hashlib.sha256()
    size = 0
    for piece in _pieces(chunks):
        if digest:
            hashed.update(piece)
        size += len(piece)
        _write_all(descriptor, piece)
    if sync:
        os.fsync(descriptor)
    return size, hashed.hexdigest()


def _pieces(chunks: Iterable[Buffer]) -> Iterator[memoryview]:
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        for start in range(0, len(view), _PIECE):
            yield view[start : start + _PIECE]


def _write_all(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


def _listed(directory: Path, prefix: str) -> Iterator[BlobInfo]:
    now = time.time()
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(prefix):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield BlobInfo(entry.name, status.st_size, max(0.0, now - status.st_mtime))
