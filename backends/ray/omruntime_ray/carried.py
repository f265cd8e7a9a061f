"""What goes between clients, office and hosts, as plain values that Ray carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

import msgspec

from omruntime.abc import Call, pack_call

__all__ = ["Carried", "Entry", "Errand", "Known", "Room", "carried", "packed_calls", "unpacked_calls"]


class Carried(NamedTuple):
    """A call as it is carried."""

    id: str
    label: str
    packed: bytes


_encoder = msgspec.msgpack.Encoder()
_calls = msgspec.msgpack.Decoder(list[Carried])


def packed_calls(calls: Sequence[Carried]) -> bytes:
    """Return calls as bytes, which Ray carries faster than whatever else."""
    return _encoder.encode(calls)


def unpacked_calls(packed: bytes) -> list[Carried]:
    """Return the calls that `packed_calls` made these bytes of."""
    return _calls.decode(packed)


def carried(call: Call) -> Carried:
    """Return a call as it is carried."""
    return Carried(call.id, call.label, pack_call(call))


class Entry(TypedDict):
    """What a host says of itself."""

    station: str
    """Name of its actor, which takes calls itself; empty for one that only fetches them."""
    labels: list[str]
    """The label sets of its slots."""
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

    address: str
    life: str
    version: int
    hosts: dict[str, Entry]
