"""Carrying changes into a store, some at a time: their blobs, then their records, then a look whether all stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from omruntime.abc.store import Group, Space, Store
from omruntime.errors import CopyRefused, SerializationError
from omruntime.store.copying.blobs import Blobs, ContentLost
from omruntime.store.copying.changes import Change
from omruntime.store.copying.tally import Tally, few

__all__ = ["Carrier"]

_MOST = 200
"""Changes that are committed together."""
_MOST_BLOBS = 64
_MOST_BYTES = 4 << 20


class Carrier:
    """Carries changes from one store into another.

    Args:
        source: the store to copy from.
        target: the store to copy into.
        tally: what is told of it.
        replace: replace other content in the target.
    """

    def __init__(self, source: Store, target: Store, tally: Tally, *, replace: bool) -> None:
        self._source = source
        self._target = target
        self._tally = tally
        self._blobs = Blobs(source, target, tally, replace=replace)

    def check(self, changes: Iterable[Change]) -> None:
        """Look at changes, and count what there is to do, before any of them is carried.

        Raises:
            CopyRefused: some are in the way of what the target has.
        """
        refused = []
        for each in changes:
            self._tally.total += each.size
            if each.refused:
                refused.append(each.name)
        self._refuse(refused)

    def carry(self, changes: Iterable[Change]) -> list[str]:
        """Carry changes, and return the names of those for which there was something to write.

        What has no whole content in the source, or is more than the target takes, is left out and noted. Records are
        not looked at again: whoever asks for the changes once more sees whether they are what was written.

        Raises:
            CopyRefused: some are in the way of what the target has.
            StoreUnavailable: a store fails; what was carried before stays.
        """
        written: list[str] = []
        for batch in _batches(changes):
            self._refuse([each.name for each in batch if each.refused])
            due = self._commit([each for each in batch if self._has_content(each) and each.groups])
            self._blobs.confirm(dict.fromkeys(blob for each in due for blob in each.blobs))
            written += [each.name for each in due]
        return written

    def _refuse(self, names: Sequence[str]) -> None:
        if names:
            raise CopyRefused(
                f"{self._target.url} has something else than {self._source.url} under the names {few(names)}: "
                "--replace puts what is copied in its place",
                names=tuple(names),
            )

    def _has_content(self, each: Change) -> bool:
        try:
            for blob in each.blobs:
                self._blobs.bring(blob)
        except ContentLost as exc:
            self._tally.lost[each.name] = str(exc)
            return False
        self._tally.done += each.size
        if each.space is Space.OBJECTS:
            self._tally.objects += 1
        else:
            self._tally.tasks += 1
        return True

    def _commit(self, changes: Sequence[Change]) -> Sequence[Change]:
        """Commit changes, and return those that the target takes."""
        groups = [group for stage in zip_longest(*(each.groups for each in changes)) for group in _together(stage)]
        try:
            if groups:
                self._target.commit(groups)
        except SerializationError as exc:
            if len(changes) > 1:
                return [each for one in changes for each in self._commit([one])]
            self._tally.lost.update((each.name, str(exc)) for each in changes)
            return []
        return changes


def _together(stage: Iterable[Group | None]) -> Iterator[Group]:
    """Yield the groups of several changes, those that only insert as one, which is one way to a server."""
    groups = [group for group in stage if group is not None]
    inserts = [group for group in groups if not group.deletes]
    records = {key: value for group in inserts for key, value in group.inserts.items()}
    if records:
        yield Group(inserts[0].space, records)
    yield from (group for group in groups if group.deletes)


def _batches(changes: Iterable[Change]) -> Iterator[list[Change]]:
    batch: list[Change] = []
    blobs = size = 0
    for each in changes:
        batch.append(each)
        blobs += len(each.blobs)
        size += each.size
        if len(batch) >= _MOST or blobs >= _MOST_BLOBS or size >= _MOST_BYTES:
            yield batch
            batch, blobs, size = [], 0, 0
    if batch:
        yield batch
