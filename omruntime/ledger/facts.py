"""The facts of the ledger: what each one says, and the key that it lives under.

``request:<task>`` what is needed to run the task again, gone with its terminal end; ``claim:<task>:<n>`` who starts
attempt n, kept as the tombstone; ``end:<task>:<n>`` how attempt n ended; ``lease:<host>:<number>`` a host is alive;
``sent:<task>:<n>:<k>`` the k-th sending of attempt n that its submitter did not do itself; ``canvas:<id>`` a canvas
with all its steps is committed; ``mark:<id>:...`` steps of it that are over; ``logs:<task>:<n>`` what attempt n had
printed when it was stopped from outside. Every one is inserted once and never
changed.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import TypeVar

import msgspec

__all__ = [
    "CANVAS_NAMES",
    "FINAL",
    "LOST",
    "RETRY",
    "Claim",
    "End",
    "Lease",
    "Request",
    "Sent",
    "bar_claim",
    "callback_id",
    "called_back",
    "canvas_key",
    "claim_key",
    "decode",
    "encode",
    "end_key",
    "lease_key",
    "lease_number",
    "lease_prefix",
    "logs_key",
    "mark_key",
    "mark_prefix",
    "new_id",
    "new_nonce",
    "request_key",
    "sent_key",
    "sent_prefix",
    "step_id",
    "step_number",
    "task_blob_prefix",
]

RETRY = "retry"
"""End of an attempt whose exception is to be tried again."""
LOST = "lost"
"""End of an attempt whose worker died, to be tried again."""
CANVAS_NAMES = "canvas."
"""What the names of canvases begin with, and of no task."""
FINAL = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
"""Terminal ends: the first one is the task's outcome."""


class _Nonces:
    """A random beginning for each process, and a count: no call into the kernel for each nonce."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._count = itertools.count()
        self._beginning = os.urandom(8).hex()

    def __call__(self) -> str:
        return f"{self._beginning}-{next(self._count):x}"


new_nonce = _Nonces()
"""Returns a text that no other call returns, in any process."""
os.register_at_fork(after_in_child=new_nonce.begin)


class Request(msgspec.Struct, array_like=True, frozen=True):
    """A submitted task that has not ended."""

    name: str
    label: str
    payload: list[bytes]
    """The signed envelope as it was sent; buffers above the inline limit are blobs that its header names."""
    submitted: float
    """Seconds since the epoch by the submitter's clock; shown to people, never compared."""
    engine: str = ""
    """Address of the engine that it was sent to."""
    runtime: str = ""
    """Host id whose lease the task dies with; empty where work is detached from its client."""
    incarnation: str = ""
    """The engine's incarnation when it was sent."""
    retries: int | None = None
    """Attempts beyond the first; None for the default budget."""
    blobs: list[str] = []
    """Blobs of the arguments, deleted with the terminal end."""
    canvas: str = ""
    """The canvas that this is a step of, or that this is: until it is committed the task does not exist."""
    waits: bool = False
    """Whether it was not sent when it was submitted: it waits for the end of another task."""
    followed: bool = False
    """Whether something follows from its end: it is a step of a canvas, or a callback waits for it."""
    mailbox: str = ""
    """Where the engine can tell the submitter of a canvas of its end; empty where it cannot."""


class Claim(msgspec.Struct, array_like=True, frozen=True):
    """A host has taken an attempt."""

    host: str
    """Id of the host; empty where the claim only keeps everybody else from starting."""
    nonce: str
    worker: str
    started: float


class End(msgspec.Struct, array_like=True, frozen=True):
    """How an attempt ended."""

    state: str
    """One of `FINAL`, or ``retry`` or ``lost``."""
    outcome: bytes
    """The signed outcome's packed envelope; empty for ``retry`` and ``lost``."""
    name: str
    worker: str
    submitted: float
    started: float
    ended: float
    logs: str = ""
    blobs: list[str] = []
    """Blobs of the outcome, deleted when the record goes."""
    nonce: str = msgspec.field(default_factory=new_nonce)
    """Tells this writer's end from an equal one of somebody else."""


class Lease(msgspec.Struct, array_like=True, frozen=True):
    """A host was alive when it inserted this number."""

    period: float
    """Seconds without a new number after which the host counts as gone."""
    machine: str
    pid: int
    born: str
    """When the process began, in the kernel's words: tells it from a later one of the same pid."""


class Sent(msgspec.Struct, array_like=True, frozen=True):
    """A steward has sent an attempt again, or a host has sent what waited for a task of its own."""

    incarnation: str
    """The engine's incarnation that it was sent to."""


Fact = TypeVar("Fact", Request, Claim, End, Lease, Sent)
_encoder = msgspec.msgpack.Encoder()
_decoders = {kind: msgspec.msgpack.Decoder(kind) for kind in (Request, Claim, End, Lease, Sent)}


def encode(fact: Request | Claim | End | Lease | Sent) -> bytes:
    """Return a fact as the bytes of its record."""
    return _encoder.encode(fact)


def decode(kind: type[Fact], record: bytes) -> Fact:
    """Return the fact that a record holds."""
    fact: Fact = _decoders[kind].decode(record)  # type: ignore[assignment]
    return fact


def request_key(task: str) -> str:
    """Return the key of a task's request."""
    return f"request:{task}"


def claim_key(task: str, attempt: int) -> str:
    """Return the key of an attempt's claim."""
    return f"claim:{task}:{attempt}"


def end_key(task: str, attempt: int) -> str:
    """Return the key of an attempt's end."""
    return f"end:{task}:{attempt}"


def sent_key(task: str, attempt: int, number: int) -> str:
    """Return the key of an attempt's resending."""
    return f"{sent_prefix(task)}{attempt}:{number}"


def sent_prefix(task: str) -> str:
    """Return what the keys of all resendings of a task begin with."""
    return f"sent:{task}:"


def logs_key(task: str, attempt: int) -> str:
    """Return the key of what an attempt had printed when somebody else ended it."""
    return f"logs:{task}:{attempt}"


def canvas_key(canvas: str) -> str:
    """Return the key of the record that commits a canvas."""
    return f"canvas:{canvas}"


def mark_prefix(canvas: str) -> str:
    """Return what the keys of all marks of a canvas begin with."""
    return f"mark:{canvas}:"


def mark_key(canvas: str, node: int, level: int, number: int) -> str:
    """Return the key that marks the end of a member of a canvas' node, or of a group of them; in order of number."""
    return f"{mark_prefix(canvas)}{node}:{level}:{number:0{STEP_DIGITS}d}"


STEP_DIGITS = 6


def step_id(canvas: str, number: int) -> str:
    """Return the id of a step of a canvas, counted from 0 in the order written; ids sort as the numbers do."""
    return f"{canvas}-{number:0{STEP_DIGITS}d}"


_CALLBACK = "-callback"


def callback_id(task: str) -> str:
    """Return the id of the task that is sent once this one is over."""
    return task + _CALLBACK


def called_back(task: str) -> str | None:
    """Return the id of the task that a callback is about; None for a task that is no callback."""
    return task.removesuffix(_CALLBACK) if task.endswith(_CALLBACK) else None


def step_number(task: str) -> int:
    """Return which step of its canvas a task is."""
    return int(task.rpartition("-")[2])


def lease_prefix(host: str) -> str:
    """Return what all lease keys of a host begin with."""
    return f"lease:{host}:"


def lease_key(host: str, number: int) -> str:
    """Return the key of a host's lease number; keys sort as the numbers do."""
    return f"lease:{host}:{number:012x}"


def lease_number(key: str) -> int:
    """Return the number of the lease with this key."""
    return int(key.rpartition(":")[2], 16)


def new_id() -> str:
    """Return a fresh id: a version 7 UUID (RFC 9562), so that new records lie next to each other in the store."""
    value = int.from_bytes(os.urandom(10), "big")
    stamp = time.time_ns() // 1_000_000
    whole = (stamp << 80) | 0x7000_8000_0000_0000_0000 | (value & 0x0FFF_3FFF_FFFF_FFFF_FFFF)
    text = f"{whole:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def bar_claim() -> Claim:
    """Return the claim of nobody, which keeps everybody from beginning."""
    return Claim(host="", nonce=new_nonce(), worker="", started=time.time())


def task_blob_prefix(task: str) -> str:
    """Return what the names of all blobs of a task begin with."""
    return f"t-{task}-"
