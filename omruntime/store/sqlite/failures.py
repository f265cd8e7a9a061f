"""What goes wrong with files and SQLite, in the words of our errors."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from pathlib import Path

from omruntime.errors import StoreUnavailable

__all__ = ["file_failure", "sqlite_failure"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def file_failure(exc: OSError, path: Path) -> StoreUnavailable:
    """Return what to raise for a failed operation on the blobs in ``path``."""
    if exc.errno in _FULL:
        return StoreUnavailable(_full(path))
    if exc.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreUnavailable(f"the store at {path} cannot be written: {exc.strerror}; give this user the right to")
    return StoreUnavailable(f"the store at {path} fails: {exc.strerror or exc}")


def sqlite_failure(exc: sqlite3.Error, path: Path) -> StoreUnavailable:
    """Return what to raise for a failed statement on the database ``path``."""
    code = getattr(exc, "sqlite_errorcode", 0) or 0
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL or code in (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE):
        return StoreUnavailable(_full(path.parent))
    if primary == sqlite3.SQLITE_NOTADB:
        return StoreUnavailable(f"{path} is not an omruntime store: it is no SQLite file; give another path")
    if primary == sqlite3.SQLITE_CORRUPT:
        return StoreUnavailable(f"the store {path} is damaged ({exc}); restore it from a backup")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreUnavailable(f"the store {path} has been locked by another process for too long; try again")
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreUnavailable(
            f"the store {path} cannot be written ({exc}); this user needs write access to the file and its directory"
        )
    return StoreUnavailable(f"the store {path} fails: {exc}")


def _full(directory: Path) -> str:
    try:
        free = f", {shutil.disk_usage(directory).free:,} bytes are free"
    except OSError:
        free = ""
    return f"the disk of the store at {directory} is full{free}; nothing was written: free some space and try again"
