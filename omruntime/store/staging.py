"""What a task has stored and is not current until the task has won: how it becomes so, and how it goes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from omruntime.abc.store import Group, Space
from omruntime.store.records import SETTLED

__all__ = ["Effect", "Stage", "discard_group", "settle_group"]


class Stage(NamedTuple):
    """The attempt of a task that writes belong to."""

    task: str
    attempt: int
    kept: bool = False
    """What is written counts with whatever final end of the attempt, not only with success."""


class Effect(msgspec.Struct, frozen=True, array_like=True):
    """One staged revision, with all that is needed to settle it."""

    key: str
    """Key of the staged revision."""
    settled: bytes
    """Its record without the task."""
    replaces: tuple[str, ...] = ()
    """Keys of the revisions that go when it is settled."""
    kept: bool = False
    """It is settled with whatever final end of its attempt."""


def settle_group(effects: Iterable[Effect]) -> Group:
    """Return the records that make staged revisions current; committing it once more does no harm."""
    effects = list(effects)
    return Group(
        Space.OBJECTS,
        {effect.key + SETTLED: effect.settled for effect in effects},
        [key for effect in effects for key in (effect.key, *effect.replaces)],
    )


def discard_group(effects: Iterable[Effect]) -> Group:
    """Return the group that removes staged revisions of a task that has not won."""
    return Group(Space.OBJECTS, {}, [effect.key for effect in effects])
