"""What it takes for one object, or one task, to be in the target as it is in the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omruntime.abc.store import Group, Space

__all__ = ["Change", "change"]


@dataclass(frozen=True, slots=True)
class Change:
    """One object or one task, as the target is to have it, and what is to be written for that."""

    name: str
    """What messages call it."""
    space: Space
    records: Mapping[str, bytes]
    """Its records as the target is to have them."""
    blobs: tuple[str, ...] = ()
    """The blobs that they name."""
    groups: tuple[Group, ...] = ()
    """What is to be committed, one after the other; nothing where all of it is there."""
    refused: bool = False
    """The target has something else in its place, which may not be replaced."""

    @property
    def size(self) -> int:
        """Bytes of its records."""
        return sum(map(len, self.records.values()))


def change(
    name: str,
    space: Space,
    stages: Sequence[Mapping[str, bytes]],
    there: Mapping[str, bytes],
    *,
    blobs: tuple[str, ...],
    goes_on: bool,
    replace: bool,
) -> Change:
    """Return the change that makes ``there`` what the source has.

    Args:
        name: what messages call it.
        space: where the records are.
        stages: its records in the source, those first that are to be there before the others.
        there: its records in the target.
        blobs: the blobs that its records name.
        goes_on: what the target has and the source has not is only what the source has had before.
        replace: replace what the target has.
    """
    wanted = {key: value for stage in stages for key, value in stage.items()}
    missing = [{key: value for key, value in stage.items() if key not in there} for stage in stages]
    gone = [key for key in there if key not in wanted]
    differ = any(there[key] != value for key, value in wanted.items() if key in there)
    if not (any(missing) or gone or differ):
        return Change(name, space, wanted, blobs)
    if not differ and (not gone or goes_on):
        deletes = [*([] for _ in stages[1:]), gone]
        groups = tuple(Group(space, *each) for each in zip(missing, deletes, strict=True))
        return Change(name, space, wanted, blobs, groups)
    if replace:
        anew = (Group(space, {}, list(there)), *(Group(space, stage) for stage in stages))
        return Change(name, space, wanted, blobs, anew)
    return Change(name, space, wanted, blobs, refused=True)
