"""Making a store in a database, once, and telling one from what other programs keep there."""

from __future__ import annotations

import uuid

from pymongo.errors import DuplicateKeyError

from omruntime.abc.store import Space
from omruntime.errors import StoreUnavailable, VersionMismatch
from omruntime.store.mongo.blobs import CHUNKS, FILES, index_chunks
from omruntime.store.mongo.connection import Connection, Document, Documents

__all__ = ["META", "SCHEMA_VERSION", "open_schema"]

META = "meta"
"""Collection with the one document that makes a database a store."""
SCHEMA_VERSION = 1
_STORE = "store"
_FORMAT = "omruntime store"
_OURS = frozenset({META, FILES, CHUNKS, *(space.value for space in Space)})


def open_schema(connection: Connection, *, create: bool) -> str:
    """Return the id of the store in a database; make one first where there is none and ``create`` is true.

    The document that says that there is a store is inserted last: who dies before has made none, and of several
    that make one at once the first stays.

    Raises:
        StoreUnavailable: there is no store and none may be made, or the database holds something else.
        VersionMismatch: the store was made by a newer version.
    """
    url = connection.location.url
    found = connection.use(_look)
    if found is None:
        if not create:
            raise StoreUnavailable(
                f"there is no store at {url}, and only a client makes one: check the URL, or open it first with "
                "Omega(store=...)"
            )
        found = connection.use(lambda documents: _make(documents, url))
    if found.get("format") != _FORMAT:
        raise _of_others(url, [META])
    if found["schema"] > SCHEMA_VERSION:
        raise VersionMismatch(
            f"the store {url} has schema version {found['schema']}, this omruntime knows {SCHEMA_VERSION}: "
            "upgrade omruntime"
        )
    return str(found["id"])


def _look(documents: Documents) -> Document | None:
    return documents[META].find_one({"_id": _STORE})


def _make(documents: Documents, url: str) -> Document:
    others = sorted(name for name in documents.list_collection_names() if not _is_ours(name))
    if others:
        raise _of_others(url, others)
    index_chunks(documents)
    made: Document = {"_id": _STORE, "format": _FORMAT, "id": uuid.uuid4().hex, "schema": SCHEMA_VERSION}
    try:
        documents[META].insert_one(made)
    except DuplicateKeyError:
        return _look(documents) or made
    return made


def _is_ours(collection: str) -> bool:
    return collection in _OURS or collection.startswith("system.")


def _of_others(url: str, collections: list[str]) -> StoreUnavailable:
    shown = ", ".join(collections[:5]) + (", ..." if len(collections) > 5 else "")
    return StoreUnavailable(
        f"{url} is the database of another program (collections: {shown}), no omruntime store; give the name of "
        "another database"
    )
