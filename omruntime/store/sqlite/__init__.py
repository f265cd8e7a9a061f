"""The store of one machine: records in SQLite, blobs in files beside it."""

from omruntime.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
