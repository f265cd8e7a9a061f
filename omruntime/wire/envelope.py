"""The signed envelope of calls and outcomes.

An envelope is a list of buffers. The first one is the head: ``OMR1``, the key id (16 ASCII characters), the
HMAC-SHA256 of the header (32 bytes), and the header itself as MessagePack. The header holds the BLAKE3 digest and
the size of every further buffer, so that the one signature covers all of them; a buffer that lies in the store as a
blob is named there and is not part of the list. Nothing is decoded before it is checked.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from blake3 import blake3

from omruntime.abc import Buffer
from omruntime.auth import Auth
from omruntime.errors import SignatureError, VersionMismatch

__all__ = [
    "PYTHON",
    "WIRE",
    "CallHeader",
    "OutcomeHeader",
    "Part",
    "Source",
    "Upstream",
    "check_part",
    "digest_of",
    "open_call",
    "open_outcome",
    "pack_envelope",
    "peek_call",
    "seal",
    "unpack_envelope",
]

WIRE = 2
"""Version of the envelope; both sides must speak the same."""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_MAGIC = b"OMR1"
_KEY_END = 20
_HEAD_END = 52


class Part(msgspec.Struct, array_like=True, frozen=True):
    """One buffer of an envelope."""

    digest: bytes
    size: int
    blob: str = ""
    """Name of the blob that holds it; empty where it travels in the envelope."""


class Source(msgspec.Struct, array_like=True, frozen=True, omit_defaults=True):
    """Where a value that a step is handed comes from: from a step, from a run of steps, or a list made of such."""

    first: int = 0
    """Number of the step in its canvas."""
    count: int = 0
    """0: the value of that step; else one value each of so many consecutive steps."""
    take: str = ""
    """What is taken of a step's value: all, the ``result`` of a script's envelope, or the ``dataset`` it names."""
    items: list[Source] | None = None
    """The sources of a list's items, in order; the other fields say nothing then."""


class Upstream(msgspec.Struct, array_like=True, frozen=True):
    """What a task is handed by tasks before it."""

    role: str
    """``result``, ``results`` for a step that reduces, ``callback`` for one that is told how a task ended."""
    of: str
    """Id of the canvas whose steps the source names, or of the task that a callback is about."""
    source: Source


class CallHeader(msgspec.Struct, array_like=True, frozen=True):
    """What a call asks for."""

    wire: int
    python: str
    id: str
    store_id: str
    store_url: str
    bucket: str
    kind: str
    """``model``, ``script``, ``job`` or ``ping``."""
    name: str
    action: str
    label: str
    user: str
    submitted: float
    parts: list[Part]
    """The encoded arguments: the value first, its out-of-band buffers behind it."""
    retries: int | None = None
    retry_delay: float = 0.0
    timeout: float | None = None
    upstream: Upstream | None = None
    canvas: str = ""
    """Id of the canvas that this is a step of."""
    callback: bool = False
    """Whether another task is sent once this one is over, however it ends."""

    @property
    def title(self) -> str:
        """Readable name of the task, like ``model.fit clf``."""
        return f"{self.kind}.{self.action} {self.name}" if self.name else f"{self.kind}.{self.action}"


class OutcomeHeader(msgspec.Struct, array_like=True, frozen=True):
    """How a task ended."""

    wire: int
    python: str
    id: str
    attempt: int
    status: str
    """SUCCESS, FAILURE or REVOKED."""
    parts: list[Part]
    """The encoded value, or the encoded exception."""
    retryable: bool = True
    """False for a failure that another attempt could only repeat."""


Header = TypeVar("Header", CallHeader, OutcomeHeader)
_encoder = msgspec.msgpack.Encoder()
_decoders = {kind: msgspec.msgpack.Decoder(kind) for kind in (CallHeader, OutcomeHeader)}
_domains = {CallHeader: b"omruntime call\0", OutcomeHeader: b"omruntime outcome\0"}


_lists = msgspec.msgpack.Decoder(list[bytes])


class _Versions(msgspec.Struct, array_like=True):
    wire: int
    python: str


_versions = msgspec.msgpack.Decoder(_Versions)


def seal(header: CallHeader | OutcomeHeader, auth: Auth) -> bytes:
    """Return the head of an envelope: the header with its signature."""
    body = _encoder.encode(header)
    return b"".join((_MAGIC, auth.key_id.encode(), auth.sign(_domains[type(header)] + body), body))


def open_call(envelope: Sequence[Buffer], auth: Auth) -> CallHeader:
    """Check the envelope of a call and return its header.

    Raises:
        SignatureError: it is unsigned, altered, or signed with a key that is not ours.
        VersionMismatch: it comes from another wire version, or another minor version of Python.
    """
    return _open(CallHeader, envelope, auth)


def open_outcome(envelope: Sequence[Buffer], auth: Auth) -> OutcomeHeader:
    """Check the envelope of an outcome and return its header; raises as `open_call` does."""
    return _open(OutcomeHeader, envelope, auth)


def pack_envelope(envelope: Sequence[Buffer]) -> bytes:
    """Return an envelope as one byte string."""
    return _encoder.encode(envelope)


def unpack_envelope(packed: bytes) -> list[bytes]:
    """Return the buffers of a packed envelope.

    Raises:
        SignatureError: it is no packed envelope.
    """
    try:
        return _lists.decode(packed)
    except msgspec.MsgspecError:
        raise SignatureError("this is no signed envelope of omruntime; nothing of it was decoded") from None


def peek_call(envelope: Sequence[Buffer]) -> CallHeader:
    """Return the header of a call that this process's parent has checked; never for anything else."""
    return _decoders[CallHeader].decode(memoryview(envelope[0])[_HEAD_END:])  # type: ignore[return-value]


def peek_outcome(packed: bytes) -> OutcomeHeader:
    """Return the header of a packed outcome that this process has been given by its own runner; not checked again."""
    return _decoders[OutcomeHeader].decode(memoryview(unpack_envelope(packed)[0])[_HEAD_END:])  # type: ignore[return-value]


def _open(kind: type[Header], envelope: Sequence[Buffer], auth: Auth) -> Header:
    head = bytes(envelope[0]) if envelope else b""
    if len(head) <= _HEAD_END or not head.startswith(_MAGIC):
        raise SignatureError("this is no signed envelope of omruntime; nothing of it was decoded")
    body = head[_HEAD_END:]
    key_id = head[len(_MAGIC) : _KEY_END].decode("latin-1")
    auth.verify(_domains[kind] + body, head[_KEY_END:_HEAD_END], key_id)
    versions = _versions.decode(body)
    if (versions.wire, versions.python) != (WIRE, PYTHON):
        raise VersionMismatch(
            f"the envelope is of wire version {versions.wire} and Python {versions.python}, this process is of wire "
            f"version {WIRE} and Python {PYTHON}; give client and workers the same versions"
        )
    header: Header = _decoders[kind].decode(body)  # type: ignore[assignment]
    _check_parts(header.parts, envelope[1:])
    return header


def _check_parts(parts: list[Part], buffers: Sequence[Buffer]) -> None:
    inline = [part for part in parts if not part.blob]
    if len(inline) != len(buffers):
        raise SignatureError(f"the envelope should hold {len(inline)} buffers and holds {len(buffers)}")
    for part, buffer in zip(inline, buffers, strict=True):
        check_part(part, buffer)


def digest_of(buffer: Buffer) -> bytes:
    """Return the digest of a buffer that goes into a signed header: BLAKE3, of 32 bytes."""
    return blake3(buffer).digest()


def check_part(part: Part, buffer: Buffer) -> None:
    """Check one buffer against its digest.

    Raises:
        SignatureError: it is not the buffer that was signed.
    """
    if digest_of(buffer) != part.digest:
        where = f"the blob {part.blob}" if part.blob else "a buffer of the envelope"
        raise SignatureError(f"{where} was altered: its digest is not the one that was signed")
