"""Making a store's database, once, however many processes try at the same time; and telling one from other files."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
import uuid
from pathlib import Path

from omruntime.errors import StoreUnavailable, VersionMismatch
from omruntime.store.sqlite.failures import file_failure, sqlite_failure

__all__ = [
    "APPLICATION_ID",
    "SCHEMA_VERSION",
    "check_header",
    "create_database",
    "remove_old_drafts",
    "sync_directory",
]

APPLICATION_ID = int.from_bytes(b"omrt", "big")
SCHEMA_VERSION = 1
_DRAFT = ".omruntime-new-"

_SCHEMA = f"""
    PRAGMA journal_mode = WAL;
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE records (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {SCHEMA_VERSION};
"""


def create_database(path: Path, id: str | None = None) -> None:
    """Make the database at ``path``, whole or not at all; where another process was faster, its database stays.

    Args:
        path: where it will be.
        id: identity of the store that it belongs to; a new one by default.

    Raises:
        StoreUnavailable: it cannot be written there.
    """
    draft = path.with_name(f"{_DRAFT}{os.getpid()}-{secrets.token_hex(6)}")
    try:
        _fill(draft, id or uuid.uuid4().hex)
        # A link fails where the file exists: so a database is seen complete, and only the first one is ever seen.
        os.link(draft, path)
        sync_directory(path.parent)
    except FileExistsError:
        pass
    except sqlite3.Error as exc:
        raise sqlite_failure(exc, path) from exc
    except OSError as exc:
        raise file_failure(exc, path.parent) from exc
    finally:
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(f"{draft}{ending}").unlink(missing_ok=True)


def remove_old_drafts(path: Path, age: float) -> None:
    """Remove what creations of the database at ``path`` that were killed have left and is older than ``age``."""
    for draft in path.parent.glob(f"{_DRAFT}*"):
        if time.time() - draft.stat().st_mtime >= age:
            draft.unlink(missing_ok=True)


def _fill(draft: Path, id: str) -> None:
    connection = sqlite3.connect(draft, isolation_level=None)
    try:
        connection.executescript(_SCHEMA)
        connection.execute("INSERT INTO meta VALUES ('id', ?)", (id,))
    finally:
        connection.close()


def check_header(path: Path) -> None:
    """Check that ``path`` is a database of ours by its first bytes, without opening it as one.

    Raises:
        FileNotFoundError: there is nothing.
        StoreUnavailable: it is something else.
        VersionMismatch: it was made by a newer version.
    """
    try:
        with path.open("rb") as stream:
            header = stream.read(100)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise StoreUnavailable(f"cannot read the store {path}: {exc.strerror}") from exc
    if not header.startswith(b"SQLite format 3\0"):
        raise StoreUnavailable(f"{path} is not an omruntime store: it is no SQLite file; give another path")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise StoreUnavailable(f"{path} is a database of another program, no omruntime store; give another path")
    version = int.from_bytes(header[60:64], "big")
    if version > SCHEMA_VERSION:
        raise VersionMismatch(
            f"the store {path} has schema version {version}, this omruntime knows {SCHEMA_VERSION}: upgrade omruntime"
        )


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
