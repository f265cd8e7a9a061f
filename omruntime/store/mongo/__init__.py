"""The store of many machines: records and blobs in MongoDB, or in what speaks its protocol."""

from omruntime.store.mongo.store import MongoStore

__all__ = ["MongoStore"]
