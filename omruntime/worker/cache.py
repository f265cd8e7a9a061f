"""The warm cache of a runner: loaded models by name and version, never stale, within a byte limit."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

from omruntime.store import ObjectStore, Record

__all__ = ["CACHE_VARIABLE", "ModelCache"]

CACHE_VARIABLE = "OMRUNTIME_MODEL_CACHE_MB"
_DEFAULT_MB = 1024


class ModelCache:
    """Models as they were loaded; the oldest unused go first when the limit is passed.

    Args:
        limit: bytes, counted as the models' size in the store; default ``OMRUNTIME_MODEL_CACHE_MB`` or 1 GiB.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit if limit is not None else int(os.environ.get(CACHE_VARIABLE) or _DEFAULT_MB) << 20
        self._models: OrderedDict[tuple[str, str], tuple[tuple[str, int], Any, int]] = OrderedDict()
        self._held = 0

    def get(self, site: str, name: str, record: Record, objects: ObjectStore) -> Any:
        """Return an object for reading, of the version that its record, just read, tells, or of a later one.

        Args:
            site: distinguishes objects of the same name in different stores and buckets.
            name: name of the object with its selector.
            record: its record.
            objects: where it is loaded from.
        """
        version = (record.uid, record.version)
        key = (site, name)
        held = self._models.get(key)
        if held is not None and held[0] == version:
            self._models.move_to_end(key)
            return held[1]
        if held is not None:
            self._drop(key)
        model = objects.get(name)
        self._keep(key, version, model, objects.size(name))
        return model

    def _keep(self, key: tuple[str, str], version: tuple[str, int], model: Any, size: int) -> None:
        if size > self._limit:
            return
        self._models[key] = (version, model, size)
        self._held += size
        while self._held > self._limit:
            self._drop(next(iter(self._models)))

    def _drop(self, key: tuple[str, str]) -> None:
        self._held -= self._models.pop(key)[2]
