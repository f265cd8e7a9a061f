"""`SqliteStore`: the `Store` of one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import BinaryIO, ClassVar, Self

from omruntime.abc.store import BlobInfo, Buffer, Group, Space, Store
from omruntime.errors import StoreUnavailable
from omruntime.store.sqlite.blobs import BlobFiles
from omruntime.store.sqlite.creation import check_header, create_database, remove_old_drafts
from omruntime.store.sqlite.database import Database
from omruntime.store.sqlite.location import Location

__all__ = ["SqliteStore"]

_MOST_KEYS = 512
_FEW = 8
_TABLES = {Space.OBJECTS: "objects", Space.LEDGER: "ledger"}
_INSERT = {space: f"INSERT OR IGNORE INTO {table} VALUES (?, ?)" for space, table in _TABLES.items()}
_DELETE = {space: f"DELETE FROM {table} WHERE key = ?" for space, table in _TABLES.items()}


class SqliteStore(Store):
    """Records in SQLite (WAL), blobs in files; what was written survives kill -9 of every process.

    A power cut loses at the most the records of the last moments, never their order and never the database; a blob
    that was written with ``sync`` is on the disk before anything can name it.
    """

    schemes: ClassVar[tuple[str, ...]] = ("sqlite",)

    def __init__(self, location: Location) -> None:
        self._location = location
        self._database = Database(location.database)
        self._blobs = BlobFiles(location.blobs)
        try:
            self._id = self._database.read(_read_id)
        except BaseException:
            self._database.close()
            raise

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Open the store at ``sqlite:///relative`` or ``sqlite:////absolute``, see `Store.open`."""
        location = Location.parse(url)
        location.check()
        try:
            check_header(location.database)
        except FileNotFoundError:
            if not create:
                raise StoreUnavailable(
                    f"there is no store at {location.url}, and only a client makes one: check the URL, or open it "
                    "first with Omega(store=...)"
                ) from None
            location.make_directories()
            create_database(location.database)
            check_header(location.database)
        return cls(location)

    @property
    def id(self) -> str:
        """Identity of the store, made once when it was created."""
        return self._id

    @property
    def url(self) -> str:
        """What another process of this machine can open it with."""
        return self._location.url

    def commit(self, groups: Sequence[Group]) -> list[frozenset[str]]:
        """Write groups in one transaction, see `Store.commit`."""
        if len(groups) == 1 and len(groups[0].inserts) == 1 and not groups[0].deletes:
            return [self._insert_one(groups[0])]
        if _is_one_statement(groups):
            return self._insert_few(groups)

        def work(connection: sqlite3.Connection) -> list[frozenset[str]]:
            connection.execute("BEGIN IMMEDIATE")
            lost = [_apply(connection, group) for group in groups]
            connection.execute("COMMIT")
            return lost

        return self._database.write(work) if groups else []

    def _insert_one(self, group: Group) -> frozenset[str]:
        (record,) = group.inserts.items()
        sql = _INSERT[group.space]
        won = self._database.write(lambda connection: connection.execute(sql, record).rowcount)
        return frozenset() if won else frozenset(record[:1])

    def _insert_few(self, groups: Sequence[Group]) -> list[frozenset[str]]:
        """Insert in one statement, a transaction of its own: each statement more gives the GIL away once more."""
        records = [record for group in groups for record in group.inserts.items()]
        sql = _insert_rows(groups[0].space, len(records))
        flat = [part for record in records for part in record]
        rows = self._database.write(lambda connection: connection.execute(sql, flat).fetchall())
        won = {row[0] for row in rows}
        return [frozenset(group.inserts.keys() - won) for group in groups]

    def get(self, space: Space, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the records of these keys, read from one moment."""
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return {}
        if len(wanted) <= _MOST_KEYS:
            sql, count = _select(space, len(wanted))
            padded = wanted + wanted[-1:] * (count - len(wanted))
            return self._database.read(lambda connection: dict(connection.execute(sql, padded)))

        def work(connection: sqlite3.Connection) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            with _one_moment(connection):
                for start in range(0, len(wanted), _MOST_KEYS):
                    part = wanted[start : start + _MOST_KEYS]
                    sql, count = _select(space, len(part))
                    found.update(connection.execute(sql, part + part[-1:] * (count - len(part))))
            return found

        return self._database.read(work)

    def scan(
        self, space: Space, prefix: str, *, after: str = "", reverse: bool = False, limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        """Return records whose key begins with ``prefix`` in order, see `Store.scan`."""
        low, high = prefix, _end_of(prefix)
        past = False
        if after and reverse:
            high = min(high, after) if high else after
        elif after and after >= low:
            low, past = after, True
        sql = f"SELECT key, value FROM {_TABLES[space]} WHERE key {'>' if past else '>='} ?"
        sql += " AND key < ?" if high else ""
        sql += " ORDER BY key DESC LIMIT ?" if reverse else " ORDER BY key LIMIT ?"
        bounds: tuple[object, ...] = (low, high) if high else (low,)
        most = -1 if limit is None else limit
        return self._database.read(lambda connection: connection.execute(sql, (*bounds, most)).fetchall())

    def write_blob(self, name: str, chunks: Iterable[Buffer], *, sync: bool = True) -> int:
        """Write a blob, see `Store.write_blob`."""
        return self._blobs.write(name, chunks, sync=sync)

    def write_addressed(
        self, prefix: str, chunks: Iterable[Buffer], *, suffix: str = "", sync: bool = True
    ) -> tuple[str, int]:
        """Write a blob named by the SHA-256 of its content in one pass; one that is there already is only touched."""
        return self._blobs.write_addressed(prefix, chunks, suffix, sync=sync)

    def touch_blob(self, name: str) -> bool:
        """Make the blob young again; False when there is none."""
        return self._blobs.touch(name)

    def read_blob(self, name: str) -> Buffer:
        """Return the whole content; of a large blob a private mapping of its file."""
        return self._blobs.read(name)

    def open_blob(self, name: str) -> BinaryIO:
        """Open a blob's file."""
        return self._blobs.open(name)

    def delete_blobs(self, names: Iterable[str]) -> None:
        """Delete blobs; missing ones are fine."""
        self._blobs.delete(names)

    def blobs(self, prefix: str = "") -> Iterator[BlobInfo]:
        """List the blobs whose name begins with ``prefix``."""
        return self._blobs.list(prefix)

    def sweep_litter(self, age: float) -> None:
        """Remove unfinished blobs and databases that are older than ``age`` seconds."""
        self._blobs.sweep(age)
        remove_old_drafts(self._location.database, age)

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._database.close()

    def __repr__(self) -> str:
        return f"<SqliteStore {self.url}>"


def _read_id(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()
    return str(row[0])


def _is_one_statement(groups: Sequence[Group]) -> bool:
    """Tell whether groups are a few inserts of different keys in one space."""
    keys = [key for group in groups for key in group.inserts]
    return (
        0 < len(keys) <= _FEW
        and len(set(keys)) == len(keys)
        and all(group.space is groups[0].space and not group.deletes for group in groups)
    )


@lru_cache(maxsize=32)
def _insert_rows(space: Space, count: int) -> str:
    return f"{_INSERT[space]}{', (?, ?)' * (count - 1)} RETURNING key"


def _apply(connection: sqlite3.Connection, group: Group) -> frozenset[str]:
    insert, delete = _INSERT[group.space], _DELETE[group.space]
    lost = [record[0] for record in group.inserts.items() if not connection.execute(insert, record).rowcount]
    if not lost:
        for key in group.deletes:
            connection.execute(delete, (key,))
    return frozenset(lost)


@lru_cache(maxsize=64)
def _select(space: Space, count: int) -> tuple[str, int]:
    # Statements for a few lengths only, so that they stay in the connection's cache.
    padded = count if count <= 8 else 1 << (count - 1).bit_length()
    marks = ", ".join("?" * padded)
    return f"SELECT key, value FROM {_TABLES[space]} WHERE key IN ({marks})", padded


class _one_moment:  # noqa: N801 - used like a function
    """A read transaction: everything inside sees one state."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    def __exit__(self, *_exc: object) -> None:
        self._connection.execute("COMMIT")


def _end_of(prefix: str) -> str:
    """Return the lowest key above all that begin with ``prefix``; empty where there is none."""
    trimmed = prefix.rstrip("\U0010ffff")
    if not trimmed:
        return ""
    last = ord(trimmed[-1]) + 1
    # No text holds a surrogate, so the next one after U+D7FF is U+E000.
    return trimmed[:-1] + chr(0xE000 if last == 0xD800 else last)
