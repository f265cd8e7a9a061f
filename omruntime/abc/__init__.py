"""What third parties implement: engines (`Backend`), stores (`Store`) and kinds of stored objects (`Kind`)."""

from omruntime.abc.backend import Backend, Call, Capability, WorkerInfo
from omruntime.abc.kind import BlobReader, BlobWriter, Kind, Stored
from omruntime.abc.store import BlobInfo, Buffer, Group, Space, Store

__all__ = [
    "Backend",
    "BlobInfo",
    "BlobReader",
    "BlobWriter",
    "Buffer",
    "Call",
    "Capability",
    "Group",
    "Kind",
    "Space",
    "Store",
    "Stored",
    "WorkerInfo",
]
