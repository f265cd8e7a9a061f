"""Copying what is in one store into another: blobs first, then the records that name them, all of it verified."""

from omruntime.store.copying.blobs import Blobs
from omruntime.store.copying.carrying import Carrier
from omruntime.store.copying.changes import Change, change
from omruntime.store.copying.objects import object_changes
from omruntime.store.copying.tally import Tally, few

__all__ = ["Blobs", "Carrier", "Change", "Tally", "change", "few", "object_changes"]
