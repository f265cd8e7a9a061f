"""Stores by URL: the scheme picks the class."""

from __future__ import annotations

import re

from omruntime.abc.store import Store
from omruntime.errors import StoreUnavailable
from omruntime.kinds.base import need
from omruntime.masking import mask

__all__ = ["open_store", "scheme_of"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_KNOWN = ("sqlite", "mongodb", "mongodb+srv")


def scheme_of(url: str) -> str:
    """Return the scheme of a store's URL in lower case.

    Raises:
        StoreUnavailable: it has none.
    """
    match = _SCHEME.match(url)
    if match is None:
        raise StoreUnavailable(
            f"{mask(url)!r} is not the URL of a store: write sqlite:///relative/path, sqlite:////absolute/path, or "
            "mongodb://host/database"
        )
    return match.group(1).lower()


def open_store(url: str, *, create: bool = True) -> Store:
    """Open the store at ``url``, made first where there is none and ``create`` is true.

    Raises:
        MissingExtra: the library that it needs is not installed.
        StoreUnavailable: nothing here opens URLs of this scheme, or the store cannot be opened.
        VersionMismatch: the store was made by a newer version.
    """
    scheme = scheme_of(url)
    if scheme == "sqlite":
        from omruntime.store.sqlite import SqliteStore

        return SqliteStore.open(url, create=create)
    if scheme in ("mongodb", "mongodb+srv"):
        need("pymongo", "mongo")
        from omruntime.store.mongo import MongoStore

        return MongoStore.open(url, create=create)
    raise StoreUnavailable(
        f"{mask(url)}: no store of scheme {scheme!r}; there are: {', '.join(f'{each}://' for each in _KNOWN)}"
    )
