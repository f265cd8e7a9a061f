"""Outcomes: how a task ended, as a signed envelope."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omruntime.abc import Buffer, Store
from omruntime.auth import Auth
from omruntime.errors import OmegaRuntimeError, SerializationError, SignatureError
from omruntime.wire.codec import encode_value
from omruntime.wire.envelope import (
    PYTHON,
    WIRE,
    OutcomeHeader,
    Part,
    open_outcome,
    pack_envelope,
    seal,
    unpack_envelope,
)
from omruntime.wire.exceptions import decode_exception, encode_exception
from omruntime.wire.values import pack_buffers, unpack_buffers, unpack_value

__all__ = ["failure", "outcome_size", "read_outcome", "success"]


def success(
    value: object, *, task: str, attempt: int, store: Store, auth: Auth, arguments: Sequence[Part] = ()
) -> tuple[bytes, list[str]]:
    """Return the packed outcome of a task that returned ``value``, and the names of the blobs that it consists of.

    Args:
        value: the value.
        task: id of the task.
        attempt: the attempt that returned it.
        store: where large buffers go.
        auth: keys that sign.
        arguments: what the task was given; a value that holds some of it shares its blobs.

    Raises:
        SerializationError: the value cannot be pickled.
    """
    encoded = encode_value(value, "the task's return value")
    return _outcome("SUCCESS", encoded, True, task, attempt, store, auth, arguments)


def failure(
    exc: BaseException,
    *,
    task: str,
    attempt: int,
    store: Store,
    auth: Auth,
    status: str = "FAILURE",
    retryable: bool = True,
) -> tuple[bytes, list[str]]:
    """Return the packed outcome of a task that raised, was revoked or lost its worker; and the names of its blobs."""
    return _outcome(status, [encode_exception(exc, task)], retryable, task, attempt, store, auth)


def _outcome(
    status: str,
    encoded: Sequence[Buffer],
    retryable: bool,
    task: str,
    attempt: int,
    store: Store,
    auth: Auth,
    arguments: Sequence[Part] = (),
) -> tuple[bytes, list[str]]:
    parts, inline = pack_buffers(encoded, store, task, f"r{attempt}", arguments)
    header = OutcomeHeader(WIRE, PYTHON, task, attempt, status, parts, retryable)
    return pack_envelope([seal(header, auth), *inline]), [part.blob for part in parts if part.blob]


def _loaded(header: OutcomeHeader, inline: Sequence[Buffer], store: Store) -> Any:
    try:
        return unpack_value(header.parts, inline, store)
    except (FileNotFoundError, OmegaRuntimeError):
        raise
    except Exception as exc:
        # Loading runs the value's own code: whatever that raises.
        raise SerializationError(
            f"task {header.id} has succeeded, but its value cannot be loaded here: {type(exc).__name__}: {exc}; "
            "install the package that its class comes from, or return plain values, arrays or frames"
        ) from exc


def outcome_size(packed: bytes, auth: Auth) -> int:
    """Return the bytes of the value or the exception in a packed outcome; the store is not looked into.

    Raises:
        SignatureError: it is unsigned, altered, or not signed by a key of ours.
    """
    return sum(part.size for part in open_outcome(unpack_envelope(packed), auth).parts)


def read_outcome(packed: bytes, *, task: str, store: Store, auth: Auth) -> tuple[str, Any]:
    """Check a packed outcome and return its status with a fresh copy of the value, or of the exception.

    Raises:
        SignatureError: it is unsigned, altered, not signed by a key of ours, or another task's.
        SerializationError: the value is of a class that cannot be loaded here.
        FileNotFoundError: a part of the value is gone from the store.
    """
    envelope = unpack_envelope(packed)
    header = open_outcome(envelope, auth)
    if header.id != task:
        raise SignatureError(f"the outcome that is filed under task {task} is that of task {header.id}")
    if header.status == "SUCCESS":
        return header.status, _loaded(header, envelope[1:], store)
    buffers = unpack_buffers(header.parts, envelope[1:], store)
    return header.status, decode_exception(bytes(buffers[0]), task)
