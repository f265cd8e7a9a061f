"""Stores: records and blobs by URL, and in them datasets, models, scripts and notebooks."""

from omruntime.store.metadata import BINDER, Metadata
from omruntime.store.objects import ObjectStore
from omruntime.store.records import Record
from omruntime.store.records import decode as decode_record
from omruntime.store.runs import RESULTS
from omruntime.store.shared import open_shared, release_shared
from omruntime.store.staging import Effect, discard_group, settle_group
from omruntime.store.sweeping import Swept, sweep
from omruntime.store.urls import open_store

__all__ = [
    "BINDER",
    "RESULTS",
    "Effect",
    "Metadata",
    "ObjectStore",
    "Record",
    "Swept",
    "decode_record",
    "discard_group",
    "open_shared",
    "open_store",
    "release_shared",
    "settle_group",
    "sweep",
]
