"""Values in envelopes: small buffers travel, large ones lie in the store under the task's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omruntime.abc import Buffer, Store
from omruntime.ledger import task_blob_prefix
from omruntime.wire.codec import decode_value, encode_value
from omruntime.wire.envelope import Part, check_part, digest_of

__all__ = ["INLINE_LIMIT", "pack_buffers", "pack_value", "unpack_buffers", "unpack_value"]

INLINE_LIMIT = 12 * 1024
"""Bytes above which a buffer becomes a blob; see docs/decisions/0001-ledger-hosts-futures.md."""


def pack_value(value: object, store: Store, task: str, side: str, what: str) -> tuple[list[Part], list[Buffer]]:
    """Encode a value; return the parts for the header and the buffers that travel.

    Args:
        value: the value.
        store: where large buffers go.
        task: id of the task that owns them.
        side: distinguishes the blobs of arguments from those of each attempt's outcome.
        what: how an error message names the value.

    Raises:
        SerializationError: the value cannot be pickled.
        StoreUnavailable: a large buffer cannot be written.
    """
    return pack_buffers(encode_value(value, what), store, task, side)


def pack_buffers(
    encoded: Sequence[Buffer], store: Store, task: str, side: str, known: Sequence[Part] = ()
) -> tuple[list[Part], list[Buffer]]:
    """As `pack_value`, for a value that is encoded already; what is in a ``known`` blob is not written again."""
    there = {part.digest: part for part in known if part.blob}
    parts: list[Part] = []
    inline: list[Buffer] = []
    for number, buffer in enumerate(encoded):
        size = memoryview(buffer).nbytes
        digest = digest_of(buffer)
        if digest in there:
            parts.append(there[digest])
        elif size <= INLINE_LIMIT:
            parts.append(Part(digest, size))
            inline.append(buffer)
        else:
            name = f"{task_blob_prefix(task)}{side}-{number}"
            store.write_blob(name, [buffer], sync=False)
            parts.append(Part(digest, size, name))
    return parts, inline


def unpack_value(parts: Sequence[Part], inline: Sequence[Buffer], store: Store) -> Any:
    """Decode a value whose envelope has been checked; blobs are checked here.

    Raises:
        SignatureError: a blob was altered.
        FileNotFoundError: a blob is gone.
    """
    return decode_value(unpack_buffers(parts, inline, store))


def unpack_buffers(parts: Sequence[Part], inline: Sequence[Buffer], store: Store) -> list[Buffer]:
    """Return all buffers of a value, those in the store included."""
    travelled = iter(inline)
    buffers: list[Buffer] = []
    for part in parts:
        if part.blob:
            buffer = store.read_blob(part.blob)
            check_part(part, buffer)
            if memoryview(buffer).readonly:
                buffer = bytearray(buffer)
        else:
            # A private copy: whoever holds the envelope may decode it again, and arrays must be writable.
            buffer = bytearray(next(travelled))
        buffers.append(buffer)
    return buffers
