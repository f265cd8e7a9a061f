"""What goes between clients, office and hosts, as plain values that Ray carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

import msgspec

from omruntime.abc import Buffer, Call, pack_call
from omruntime.abc.carrying import refusal

__all__ = [
    "Carried",
    "Entry",
    "Errand",
    "Known",
    "Order",
    "Room",
    "Said",
    "Sent",
    "carried",
    "packed_calls",
    "settled",
    "unpacked_calls",
]


class Carried(NamedTuple):
    """A call as it is carried."""

    id: str
    label: str
    packed: bytes


Sent = tuple[str, str, Carried]
"""A call on its way: its id, its name, and what is carried."""

Said = tuple[str, Any]
"""What an order has come to: empty text and a value, or the name of our error and its text."""

_encoder = msgspec.msgpack.Encoder()
_calls = msgspec.msgpack.Decoder(list[Carried])


def packed_calls(calls: Sequence[Carried]) -> bytes:
    """Return calls as bytes, which Ray carries faster than whatever else."""
    return _encoder.encode(calls)


def unpacked_calls(packed: Buffer) -> list[Carried]:
    """Return the calls that `packed_calls` made these bytes of."""
    return _calls.decode(packed)


def carried(call: Call) -> Carried:
    """Return a call as it is carried."""
    return Carried(call.id, call.label, pack_call(call))


def settled(said: Said) -> Any:
    """Return what a host has said, or raise the error that it has told of."""
    kind, value = said
    if kind:
        raise refusal(kind, value)
    return value


class Order(TypedDict, total=False):
    """What a host is to do; one entry, and what belongs to it."""

    scale: dict[str, int]
    store: str
    logins: dict[str, str]
    """What the host needs to open the store, where it is told of one."""
    cancel: str
    close: bool
    workers: bool
    """Say who works there."""


class Entry(TypedDict):
    """What a host says of itself."""

    station: str
    """Name of its actor, which takes calls itself; empty for one that only fetches them."""
    labels: list[str]
    """The label sets of its slots."""
    door: str
    """Where processes of its machine reach it without Ray; empty where they do not."""
    workers: list[Any]
    period: float
    """Seconds after which it counts as gone when nothing is heard of it."""
    pooled: bool
    """It belongs to the pool, and ends where nobody needs it."""


class Room(TypedDict):
    """How much a host would begin at once."""

    taken: int
    """How many calls it had got from here when it counted."""
    rooms: dict[str, int]
    """For each of its label sets."""
    busy: bool
    """Something runs there."""


class Errand(TypedDict):
    """What a host is to do."""

    calls: list[Carried]
    cancel: list[str]
    known: bool
    """The office knows who works there."""
    eager: bool
    """Others wait for what this host has room for, or have some too: so it says at once when that changes."""
    stores: list[str]
    """Stores that it shall look after from now on: their tasks may be owed by a host that is gone."""
    end: bool
    """Nobody has needed the pool for long, and it ends."""


class Known(TypedDict):
    """What clients go by."""

    speaks: int
    """`versions.SPEAKS` of the office."""
    release: str
    """Of this package, where the office is."""
    address: str
    life: str
    version: int
    hosts: dict[str, Entry]
