"""Stores: records and blobs by URL, and in them datasets, models, scripts and notebooks."""

from omruntime.store.urls import mask, open_store

__all__ = ["mask", "open_store"]
