"""The connection of a process to one MongoDB store: opened at first use, patient, and made anew after a fork."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.database import Database
from pymongo.errors import DocumentTooLarge, PyMongoError
from pymongo.periodic_executor import PeriodicExecutor
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import split_options

from omruntime.errors import StoreUnavailable
from omruntime.store.mongo.failures import is_passing, mongo_failure
from omruntime.store.mongo.location import Location

__all__ = ["Connection", "Document", "Documents", "Server"]

Document: TypeAlias = dict[str, Any]
Documents: TypeAlias = Database[Document]
_T = TypeVar("_T")

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_SOCKET_TIMEOUT = 60_000
"""Milliseconds after which a server that keeps a connection open and says nothing counts as lost."""

_JOIN_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class Server:
    """What the server says of itself.

    Attributes:
        replicated: it has a majority to wait for.
        indexes_many: it answers a look-up of several ``_id``s from an index; FerretDB 1 does that for one only.
        ahead: seconds that its clock is ahead of this machine's.
    """

    replicated: bool
    indexes_many: bool
    ahead: float

    @classmethod
    def ask(cls, client: MongoClient[Document]) -> Server:
        """Ask the server that a client is connected to."""
        hello = client.admin.command("hello")
        ahead = hello["localTime"].timestamp() - time.time() if "localTime" in hello else 0.0
        ferretdb = "ferretdbVersion" in client.admin.command("buildInfo")
        return cls("setName" in hello or hello.get("msg") == "isdbgrid", not ferretdb, ahead)


class Connection:
    """The database of one store, for all threads of this process.

    An operation that meets a lost connection, or a replica set that elects, is tried again until
    ``serverSelectionTimeoutMS`` of the URL has passed (pymongo's default: 30 s).
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._lock = threading.Lock()
        self._client: MongoClient[Document] | None = None
        self._server: Server | None = None
        self._closing = threading.Event()
        _open.add(self)

    @property
    def server(self) -> Server:
        """What the server said of itself when it was connected to.

        Raises:
            StoreUnavailable: it cannot be reached.
        """
        if self._server is None:
            self._server = self.use(lambda documents: Server.ask(documents.client))
        return self._server

    def now(self) -> float:
        """Return the time by the clock of the server, in seconds since the epoch."""
        return time.time() + self.server.ahead

    def use(self, work: Callable[[Documents], _T]) -> _T:
        """Run ``work`` on the database; again where the connection is lost meanwhile, so it must be repeatable.

        Raises:
            StoreUnavailable: the server cannot be reached for too long, refuses, or the connection was closed.
            SerializationError: a record is larger than the server takes.
        """
        begun, pause = time.monotonic(), _SHORTEST_PAUSE
        while True:
            client = self._connected()
            try:
                return work(self._documents(client))
            except DocumentTooLarge as exc:
                # It is none of the driver's other errors.
                raise mongo_failure(exc, self.location, 0.0) from exc
            except PyMongoError as exc:
                waited = time.monotonic() - begun
                patience = client.options.server_selection_timeout
                if not is_passing(exc) or waited >= patience or self._closing.wait(pause):
                    raise mongo_failure(exc, self.location, waited) from exc
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _documents(self, client: MongoClient[Document]) -> Documents:
        replicated = self._server is not None and self._server.replicated
        given = client.options.write_concern.document.get("wtimeout")
        return client.get_database(
            self.location.database,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority" if replicated else None),
            # Without a majority to wait for, the journal is what survives the end of the server.
            write_concern=WriteConcern("majority", wtimeout=given) if replicated else WriteConcern(1, j=True),
        )

    def _connected(self) -> MongoClient[Document]:
        with self._lock:
            if self._closing.is_set():
                raise StoreUnavailable(f"the store {self.location.url} was closed; open it again")
            if self._client is None:
                self._client = _connect(self.location)
            return self._client

    def close(self) -> None:
        """Close the connection for good; a second call does nothing."""
        self._closing.set()
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
            _join_stopped_threads()

    def forget(self) -> None:
        """Leave the client to the process that this one was forked from: its sockets and threads are not ours."""
        self._lock = threading.Lock()
        if self._client is not None:
            _inherited.append(self._client)
            self._client = None


def _join_stopped_threads() -> None:
    """Wait for threads of pymongo that were told to stop: they look twice a second, and its `close` does not wait."""
    for thread in threading.enumerate():
        executor = getattr(getattr(thread, "_target", None), "__self__", None)
        if isinstance(executor, PeriodicExecutor) and getattr(executor, "_stopped", False):
            thread.join(_JOIN_LIMIT)


def _connect(location: Location) -> MongoClient[Document]:
    begun = time.monotonic()
    options: dict[str, Any] = {"appname": "omruntime"}
    if "sockettimeoutms" not in location.address.lower():
        options["socketTimeoutMS"] = _SOCKET_TIMEOUT
    try:
        if query := location.address.partition("?")[2]:
            # By itself pymongo warns of an option that it cannot read and goes on without it, were it even tls=yes.
            split_options(query, warn=False)
        return MongoClient(location.address, **options)
    except PyMongoError as exc:
        raise mongo_failure(exc, location, time.monotonic() - begun) from exc
    except (ValueError, TypeError, OSError) as exc:
        raise StoreUnavailable(f"the store {location.url} cannot be opened: {exc}") from exc


_open: weakref.WeakSet[Connection] = weakref.WeakSet()
# Kept, so that nothing closes in the child what the parent goes on to use.
_inherited: list[MongoClient[Document]] = []


def _forget_all() -> None:
    for connection in list(_open):
        connection.forget()


os.register_at_fork(after_in_child=_forget_all)
