"""The revisions of objects: insert-only records, of which the highest visible one is current.

An operation reads the current revision and inserts one above the highest there is, with a mark of its own. If that
key was taken, somebody else was faster and it starts again. If it was not, the operation may still have been late:
others may have gone further and have removed the revisions that would have stood in its way. So whoever builds on
what it read looks again afterwards: it has succeeded when its revision is current, or its mark is among those that
the current one carries on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from omruntime.abc.store import Group, Space, Store
from omruntime.store.records import SETTLED, Record, Row, base_key, encode, name_of, revision_key, row_of

__all__ = ["Revisions"]

_PAGE = 8
_LIST_PAGE = 1000
_MARKS = 256


class Revisions:
    """The revisions of the objects with one prefix in one bucket.

    Args:
        store: where they are.
        bucket: the bucket.
        prefix: the prefix of the store of objects.
        visible: tells whether the task that staged a record has won.
    """

    def __init__(self, store: Store, bucket: str, prefix: str, visible: Callable[[Record], bool]) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix
        self._visible = visible

    def rows(self, name: str) -> Iterator[Row]:
        """Return all revisions of a name from the newest to the oldest, staged ones included."""
        base = base_key(self._bucket, self._prefix, name)
        after, limit = "", _PAGE
        while True:
            page = self._store.scan(Space.OBJECTS, base, after=after, reverse=True, limit=limit)
            yield from (row_of(*each) for each in page)
            if len(page) < limit:
                return
            after, limit = page[-1][0], _LIST_PAGE

    def current(self, name: str) -> Row | None:
        """Return the current revision; None when there is no such object."""
        return next(self.history(name), None)

    def history(self, name: str) -> Iterator[Row]:
        """Return the visible revisions since the last drop, from the newest to the oldest."""
        seen = -1
        for row in self.rows(name):
            if row.revision == seen or (row.record.staged and not self._visible(row.record)):
                continue
            if row.record.dropped:
                return
            seen = row.revision
            yield row

    def versions(self, name: str) -> Iterator[Row]:
        """Return the newest revision of each version, from the newest version to the oldest.

        A version is found by its content, so a save of the current one never shows it twice.
        """
        seen: set[int] = set()
        for row in self.history(name):
            if row.record.version not in seen:
                seen.add(row.record.version)
                yield row

    def insert(self, name: str, build: Callable[[Row | None, int], Record]) -> Row:
        """Insert a revision above all others and return it.

        Args:
            name: name of the object.
            build: given the current revision and the number of the new one, returns its record; called again when
                somebody else was faster. What it raises ends the insert.
        """
        base = base_key(self._bucket, self._prefix, name)
        while True:
            rows = list(self._top(name))
            highest = rows[0].revision if rows else 0
            record = build(self.current(name) if len(rows) > 1 else self._only(rows), highest + 1)
            key = revision_key(base, highest + 1)
            if any(self._store.commit([Group(Space.OBJECTS, {key: encode(record)})])):
                continue
            row = Row(key, highest + 1, record)
            if not self._store.get(Space.OBJECTS, [key + SETTLED]):
                return row
            # A task had this revision and has won in between, which set its key free again.
            self.remove([row])

    def _top(self, name: str) -> Iterator[Row]:
        base = base_key(self._bucket, self._prefix, name)
        page = self._store.scan(Space.OBJECTS, base, reverse=True, limit=2)
        return (row_of(*each) for each in page)

    def _only(self, rows: list[Row]) -> Row | None:
        if not rows or rows[0].record.dropped:
            return None
        record = rows[0].record
        return rows[0] if not record.staged or self._visible(record) else None

    def holds(self, name: str, mark: bytes, row: Row) -> bool:
        """Tell whether the current state of an object includes the operation that inserted ``row`` with ``mark``."""
        for each in self.rows(name):
            if each.revision == row.revision:
                return True
            if not each.record.staged or self._visible(each.record):
                return mark in each.record.recent
        return False

    def remove(self, rows: list[Row]) -> None:
        """Delete revisions."""
        if rows:
            self._store.commit([Group(Space.OBJECTS, {}, [row.key for row in rows])])

    def names(self, beginning: str = "") -> Iterator[tuple[str, Row]]:
        """Return names and current revisions of the objects whose names begin so, in the order of the names."""
        pending: dict[str, Row] = {}
        base = base_key(self._bucket, self._prefix) + beginning
        after = ""
        while True:
            page = self._store.scan(Space.OBJECTS, base, after=after, limit=_LIST_PAGE)
            for key, value in page:
                name, row = name_of(key), row_of(key, value)
                if pending and name not in pending:
                    yield from _alive(pending)
                    pending.clear()
                if not row.record.staged or self._visible(row.record):
                    pending[name] = row
            if len(page) < _LIST_PAGE:
                yield from _alive(pending)
                return
            after = page[-1][0]


def _alive(rows: dict[str, Row]) -> Iterator[tuple[str, Row]]:
    return (each for each in rows.items() if not each[1].record.dropped)


def marks(current: Row | None, mark: bytes) -> tuple[bytes, ...]:
    """Return the marks that a revision carries which builds on ``current``."""
    before = current.record.recent if current is not None else ()
    return (*before[1 - _MARKS :], mark)
