"""Connections to the database of a store: one to write, one to read, both guarded, and neither survives a fork."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from omruntime.errors import StoreUnavailable
from omruntime.store.sqlite.failures import sqlite_failure

__all__ = ["Database"]

_T = TypeVar("_T")
_BUSY_SECONDS = 60.0
_PRAGMAS = """
    PRAGMA synchronous = NORMAL;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -16384;
"""


class _Line:
    """A connection made at first use, with its lock."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self.made = 0
        """How many connections there have been."""

    def use(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self.lock:
            try:
                return work(self._connection or self._connect())
            except sqlite3.Error as exc:
                raise sqlite_failure(exc, self._path) from exc

    def drop(self) -> None:
        """Close the connection; the caller holds the lock. The next use makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        with self.lock:
            self._closed = True
            self.drop()

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable(f"the store {self._path} was closed; open it again")
        if not self._path.exists():
            raise StoreUnavailable(f"the store {self._path} is gone: somebody removed it while it was open")
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            connection.executescript(_PRAGMAS)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self.made += 1
        return connection


class Database:
    """The database file of one store, for all threads of this process and of those it forks."""

    def __init__(self, path: Path) -> None:
        self._writing = _Line(path)
        self._reading = _Line(path)
        with _forking:
            _open.add(self)

    def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run ``work`` on the connection for reading.

        Raises:
            StoreUnavailable: the store fails or was closed.
        """
        return self._reading.use(work)

    def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run ``work`` on the connection for writing, outside of a transaction.

        Raises:
            StoreUnavailable: the store fails or was closed, nothing of an open transaction was written.
        """

        def guarded(connection: sqlite3.Connection) -> _T:
            try:
                return work(connection)
            except BaseException:
                if connection.in_transaction:
                    connection.rollback()
                raise

        return self._writing.use(guarded)

    def version(self) -> tuple[int, int]:
        """Return a value that is another one when anything was written since it was last asked.

        SQLite counts for each connection anew, and a fork makes another one: so the connection is part of it.
        """

        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            return self._reading.made, int(connection.execute("PRAGMA data_version").fetchone()[0])

        return self._reading.use(work)

    def close(self) -> None:
        """Close both connections for good."""
        self._writing.close()
        self._reading.close()

    def pause(self) -> None:
        """Wait for the statements that run, then hold the locks with no connection open."""
        for line in (self._writing, self._reading):
            line.lock.acquire()
            line.drop()

    def resume(self) -> None:
        """Let the locks go that `pause` took."""
        for line in (self._writing, self._reading):
            line.lock.release()


# SQLite keeps its locks in tables of the process: a forked child would believe that it holds those of its parent,
# and either could then lose what the other wrote. So nothing is open while a process forks.
_open: weakref.WeakSet[Database] = weakref.WeakSet()
_forking = threading.Lock()
_paused: list[Database] = []


def _pause_all() -> None:
    _forking.acquire()
    _paused.extend(_open)
    for database in _paused:
        database.pause()


def _resume_all() -> None:
    for database in _paused:
        database.resume()
    _paused.clear()
    _forking.release()


os.register_at_fork(before=_pause_all, after_in_parent=_resume_all, after_in_child=_resume_all)
