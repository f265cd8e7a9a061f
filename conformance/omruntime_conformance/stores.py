"""Engines with their stores in MongoDB: what a harness is made of, and the one of the embedded engine."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from omruntime_conformance.harness import Harness, NotExercised
from omruntime_conformance.local import LocalHarness
from omruntime_conformance.mongodb import MongoServer, mongodb_server, mongodb_versions
from omruntime_conformance.storage import STORE, Stores

__all__ = ["LocalMongoHarness", "MongoStores", "OnMongoDB"]

_numbers = count(1)
_FILES = "blobs.files"
"""The collection whose documents name the content of objects, as GridFS has it."""


class MongoStores(Stores):
    """Databases of one server.

    Args:
        server: where they are.
        prefix: what the names of these databases begin with.
        user: log in by this name, where it is not empty.
        password: of this user.
    """

    def __init__(self, server: MongoServer, prefix: str, user: str = "", password: str = "") -> None:
        self._server, self._prefix = server, prefix
        self._user, self._password = user, password
        self._named: set[str] = set()

    def url(self, name: str = STORE) -> str:
        """Return the URL of a store, which need not be there yet."""
        self._named.add(name)
        return self._server.url(f"{self._prefix}-{name}", user=self._user, password=self._password)

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Have no server within the block: it is killed, and started again."""
        self._server.kill()
        try:
            yield
        finally:
            self._server.start()

    @contextmanager
    def without_content(self) -> Iterator[None]:
        """Put what names the content of objects aside within the block."""
        with self._database() as database:
            files = database[_FILES]
            taken = [*files.find()]
            assert taken, f"{self.url()} has no content that could be taken away"
            files.delete_many({})
            try:
                yield
            finally:
                files.insert_many(taken)

    def raw(self) -> Iterator[bytes]:
        """Yield every document of every collection, as it travels."""
        import bson

        with self._database() as database:
            for name in database.list_collection_names():
                for document in database[name].find():
                    yield bson.encode(document)

    @contextmanager
    def _database(self) -> Iterator[Any]:
        from pymongo import MongoClient

        with MongoClient[dict[str, Any]](self.url()) as client:
            yield client.get_default_database()

    def drop(self) -> None:
        """Remove all of them."""
        for name in sorted(self._named):
            self._server.drop(f"{self._prefix}-{name}")


class OnMongoDB(Harness):
    """Has every store of an engine's rules in MongoDB: ``class SlurmMongoHarness(OnMongoDB, SlurmHarness): ...``.

    The server is that of `mongodb_server`: one for each process of the suite. Each rule has databases of its own.
    """

    variant = "MongoDB"
    login: ClassVar[tuple[str, str]] = ("", "")
    """User and password in the URLs of the stores, where workers are the client's own: others have none."""

    @classmethod
    def versions(cls) -> dict[str, str]:
        """Return the versions of driver and server."""
        return mongodb_versions()

    @contextmanager
    def storage(self, place: Path) -> Iterator[Stores]:
        """Give databases that nobody else has, for the time of a rule.

        Raises:
            NotExercised: there is no server, and none can be had; the message says what is missing.
        """
        server = _server()
        if isinstance(server, NotExercised):
            raise server
        stores = MongoStores(server, f"rule-{next(_numbers)}", *self.login)
        try:
            yield stores
        finally:
            stores.drop()


@cache
def _server() -> MongoServer | NotExercised:
    """Return the server of this process, which ends with it, or why there is none: that is found out once."""
    stack = ExitStack()
    try:
        server = stack.enter_context(mongodb_server())
    except NotExercised as exc:
        return exc
    atexit.register(stack.close)
    return server


class LocalMongoHarness(OnMongoDB, LocalHarness):
    """The embedded engine, with its stores in MongoDB."""

    patience = 5.0
