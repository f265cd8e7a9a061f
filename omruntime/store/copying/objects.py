"""The objects of a store, one after the other, beside what another store has under the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TypeAlias

from omruntime.abc.store import Space, Store
from omruntime.errors import VersionMismatch
from omruntime.store.content import doom_key
from omruntime.store.copying.changes import Change, change
from omruntime.store.names import NOUNS
from omruntime.store.records import SETTLED, Row, base_key, row_of, settled
from omruntime.store.sweeping import Outcome

__all__ = ["object_changes"]

_PAGE = 500
_MARKS = doom_key("")
_SEPARATOR = base_key("", "")[0]
_Rows: TypeAlias = dict[str, Row]
_Values: TypeAlias = dict[str, bytes]


def object_changes(source: Store, target: Store, outcome: Outcome, *, replace: bool) -> Iterator[Change]:
    """Yield each object of the source with what has to be written for it; those of the target alone are left alone.

    What a task has staged is taken as it will be where the task has won, and left out where it has not, or not yet.

    Args:
        source: the store to copy from.
        target: the store to copy into; it may be written while this is gone through.
        outcome: tells whether the task that staged a revision in the source has won.
        replace: replace other objects of the same names.

    Raises:
        VersionMismatch: the source has records of a kind that is not known here.
    """
    theirs = _Beside(_objects(target))
    for base, values in _objects(source):
        wanted = _settled(values, outcome)
        if wanted:
            yield _change(base, wanted, theirs.at(base), replace=replace)


def _change(base: str, wanted: _Values, there: _Values, *, replace: bool) -> Change:
    rows, others = _rows(wanted), _rows(there)
    # What tasks of the target's own have staged there is theirs, unless it is in the way.
    held = {key: value for key, value in there.items() if key in wanted or not others[key].record.staged}
    blobs = dict.fromkeys(ref.name for row in rows.values() for ref in row.record.blobs)
    return change(
        *(_called(base), Space.OBJECTS, [wanted], held),
        blobs=tuple(blobs),
        goes_on=_goes_on(rows, {key: others[key] for key in held}),
        replace=replace,
    )


def _goes_on(rows: _Rows, others: _Rows) -> bool:
    """Tell whether the newest revision of the source builds on the newest of the target.

    Each operation leaves a mark, and the revisions after it carry that on.
    """
    if not others:
        return True
    newest = max(others.values(), key=lambda row: row.revision).record.recent
    return newest[-1:] == () or newest[-1] in max(rows.values(), key=lambda row: row.revision).record.recent


def _settled(values: _Values, outcome: Outcome) -> _Values:
    """Return the records of an object without what is only staged."""
    found: _Values = {}
    for key, row in _rows(values).items():
        record = row.record
        if not record.staged:
            found[key] = values[key]
        elif key + SETTLED not in values and outcome(record.task, record.attempt, record.kept):
            found[key + SETTLED] = settled(record)
    return dict(sorted(found.items()))


def _rows(values: Mapping[str, bytes]) -> _Rows:
    return {key: row_of(key, value) for key, value in values.items()}


def _objects(store: Store) -> Iterator[tuple[str, _Values]]:
    """Yield what the keys of each object begin with, in order, and its records."""
    for base, records in groupby(_records(store), key=lambda each: each[0].rpartition(_SEPARATOR)[0]):
        yield base, dict(records)


def _records(store: Store) -> Iterator[tuple[str, bytes]]:
    after = ""
    while page := store.scan(Space.OBJECTS, "", after=after, limit=_PAGE):
        for key, value in page:
            # What a sweeper says of its own store means nothing in another one.
            if not key.startswith(_MARKS):
                yield _known(store, key), value
        if len(page) < _PAGE:
            return
        after = page[-1][0]


def _known(store: Store, key: str) -> str:
    parts = key.split(_SEPARATOR)
    if len(parts) != 4 or parts[1] not in NOUNS:
        raise VersionMismatch(
            f"{store.url} has a record {key.replace(_SEPARATOR, '/')!r} of a kind that this omruntime does not know: "
            "a newer one has written it; upgrade omruntime here"
        )
    return key


def _called(base: str) -> str:
    bucket, prefix, name = base.split(_SEPARATOR)
    return f"{prefix}{name} (bucket {bucket})"


class _Beside:
    """The objects of another store, gone through side by side with those of the first: both come in order."""

    def __init__(self, objects: Iterator[tuple[str, _Values]]) -> None:
        self._objects = objects
        self._next = next(objects, None)

    def at(self, base: str) -> _Values:
        """Return the records of an object; each one asked for comes behind the one before."""
        while self._next is not None and self._next[0] < base:
            self._next = next(self._objects, None)
        return self._next[1] if self._next is not None and self._next[0] == base else {}
