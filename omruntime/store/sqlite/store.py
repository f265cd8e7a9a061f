"""`SqliteStore`: the `Store` of one machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import groupby
from typing import BinaryIO, ClassVar, Self

from omruntime.abc.store import BlobInfo, Buffer, Group, Space, Store
from omruntime.errors import StoreUnavailable
from omruntime.store.prefixes import end_of
from omruntime.store.sqlite.blobs import BlobFiles
from omruntime.store.sqlite.creation import check_header, create_database, remove_old_drafts
from omruntime.store.sqlite.database import Database
from omruntime.store.sqlite.location import Location

__all__ = ["SqliteStore"]

_MOST_KEYS = 512
_FEW = 8
_INSERT = "INSERT OR IGNORE INTO records VALUES (?, ?)"
_DELETE = "DELETE FROM records WHERE key = ?"


class SqliteStore(Store):
    """Records in SQLite (WAL), blobs in files; what was written survives kill -9 of every process.

    A power cut loses at the most the records of the last moments, never their order and never the database; a blob
    that was written with ``sync`` is on the disk before anything can name it.
    """

    schemes: ClassVar[tuple[str, ...]] = ("sqlite",)

    def __init__(self, location: Location) -> None:
        self._location = location
        self._databases = {Space.OBJECTS: Database(location.database), Space.LEDGER: Database(location.ledger)}
        self._blobs = BlobFiles(location.blobs)
        try:
            self._id = self._databases[Space.OBJECTS].read(_read_id)
            _open_ledger(location, self._id)
            self._check_ledger(location)
        except BaseException:
            self.close()
            raise

    def _check_ledger(self, location: Location) -> None:
        found = self._databases[Space.LEDGER].read(_read_id)
        if found != self._id:
            raise StoreUnavailable(
                f"{location.ledger} belongs to another store ({found}) than {location.database} ({self._id}): "
                "they were copied apart; copy them together, or move the ledger away to begin a new one"
            )

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
        """Write groups, those of each space in one transaction; see `Store.commit`."""
        if len(groups) == 1 and len(groups[0].inserts) == 1 and not groups[0].deletes:
            return [self._insert_one(groups[0])]
        if _is_one_statement(groups):
            return self._insert_few(groups)
        lost: list[frozenset[str]] = []
        for space, together in groupby(groups, key=lambda group: group.space):
            lost += self._databases[space].write(partial(_apply_all, list(together)))
        return lost

    def _insert_one(self, group: Group) -> frozenset[str]:
        (record,) = group.inserts.items()
        won = self._databases[group.space].write(lambda connection: connection.execute(_INSERT, record).rowcount)
        return frozenset() if won else frozenset(record[:1])

    def _insert_few(self, groups: Sequence[Group]) -> list[frozenset[str]]:
        """Insert in one statement, a transaction of its own: each statement more gives the GIL away once more."""
        flat = [part for group in groups for record in group.inserts.items() for part in record]
        sql = _insert_rows(len(flat) // 2)

        def work(connection: sqlite3.Connection) -> list[frozenset[str]]:
            try:
                connection.execute(sql, flat)
            except sqlite3.IntegrityError:
                # One of them exists, so none was inserted: now one by one, to see which.
                return _apply_all(groups, connection)
            return [frozenset()] * len(groups)

        return self._databases[groups[0].space].write(work)

    def get(self, space: Space, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the records of these keys, read from one moment."""
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return {}
        if len(wanted) <= _MOST_KEYS:
            sql, count = _select(len(wanted))
            padded = wanted + wanted[-1:] * (count - len(wanted))
            return self._databases[space].read(lambda connection: dict(connection.execute(sql, padded)))

        def work(connection: sqlite3.Connection) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            with _one_moment(connection):
                for start in range(0, len(wanted), _MOST_KEYS):
                    part = wanted[start : start + _MOST_KEYS]
                    sql, count = _select(len(part))
                    found.update(connection.execute(sql, part + part[-1:] * (count - len(part))))
            return found

        return self._databases[space].read(work)

    def scan(
        self, space: Space, prefix: str, *, after: str = "", reverse: bool = False, limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        """Return records whose key begins with ``prefix`` in order, see `Store.scan`."""
        low, high = prefix, end_of(prefix)
        past = False
        if after and reverse:
            high = min(high, after) if high else after
        elif after and after >= low:
            low, past = after, True
        sql = f"SELECT key, value FROM records WHERE key {'>' if past else '>='} ?"
        sql += " AND key < ?" if high else ""
        sql += " ORDER BY key DESC LIMIT ?" if reverse else " ORDER BY key LIMIT ?"
        bounds: tuple[object, ...] = (low, high) if high else (low,)
        most = -1 if limit is None else limit
        return self._databases[space].read(lambda connection: connection.execute(sql, (*bounds, most)).fetchall())

    def generation(self, space: Space) -> object:
        """Return the data version of the connection that reads, see `Store.generation`."""
        return os.getpid(), self._databases[space].version()

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
        for database in self._databases.values():
            database.close()

    def __repr__(self) -> str:
        return f"<SqliteStore {self.url}>"


def _open_ledger(location: Location, id: str) -> None:
    """Check the ledger's file, and make it where whoever made the store was killed before it was there."""
    try:
        check_header(location.ledger)
    except FileNotFoundError:
        create_database(location.ledger, id)


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
def _insert_rows(count: int) -> str:
    return f"INSERT INTO records VALUES {', '.join(['(?, ?)'] * count)}"


def _apply_all(groups: Sequence[Group], connection: sqlite3.Connection) -> list[frozenset[str]]:
    connection.execute("BEGIN IMMEDIATE")
    lost = [_apply(connection, group) for group in groups]
    connection.execute("COMMIT")
    return lost


def _apply(connection: sqlite3.Connection, group: Group) -> frozenset[str]:
    lost = [record[0] for record in group.inserts.items() if not connection.execute(_INSERT, record).rowcount]
    if not lost:
        for key in group.deletes:
            connection.execute(_DELETE, (key,))
    return frozenset(lost)


@lru_cache(maxsize=64)
def _select(count: int) -> tuple[str, int]:
    # Statements for a few lengths only, so that they stay in the connection's cache.
    padded = count if count <= 8 else 1 << (count - 1).bit_length()
    marks = ", ".join("?" * padded)
    return f"SELECT key, value FROM records WHERE key IN ({marks})", padded


class _one_moment:  # noqa: N801 - used like a function
    """A read transaction: everything inside sees one state."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    def __exit__(self, *_exc: object) -> None:
        self._connection.execute("COMMIT")
