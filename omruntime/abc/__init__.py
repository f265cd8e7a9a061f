"""What third parties implement: engines (`Backend`), stores (`Store`) and kinds of stored objects (`Kind`)."""

from omruntime.abc.answers import Answers
from omruntime.abc.backend import Backend, Call, Capability, WorkerInfo, label_set
from omruntime.abc.carrying import answer_of, pack_answer, pack_call, unpack_answer, unpack_call
from omruntime.abc.kind import BlobReader, BlobWriter, Kind, Stored
from omruntime.abc.store import BlobInfo, Buffer, Group, Space, Store
from omruntime.abc.translating import Translations
from omruntime.abc.working import WorkerHost

__all__ = [
    "Answers",
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
    "Translations",
    "WorkerHost",
    "WorkerInfo",
    "answer_of",
    "label_set",
    "pack_answer",
    "pack_call",
    "unpack_answer",
    "unpack_call",
]
