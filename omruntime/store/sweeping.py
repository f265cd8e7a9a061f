"""Sweeping: what writers that died, tasks that lost and objects that are gone have left in a store."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import msgspec

from omruntime.abc.store import Group, Space, Store
from omruntime.store.content import MARK_LIFETIME, PREFIX, doom_key
from omruntime.store.records import SETTLED, Record, Row, row_of, settled

__all__ = ["Outcome", "Swept", "sweep"]

Outcome = Callable[[str, int, bool], bool | None]
"""Tells of an attempt of a task whether it has won, or given True whether it has ended its task in any way; None
while that is not known."""

_PAGE = 1000
_MARKS = doom_key("")
_ABANDONED = 3600.0
_TOMBSTONE = 86400.0


@dataclass(slots=True)
class Swept:
    """What a sweep has done.

    Attributes:
        blobs: blobs deleted.
        bytes: what they held.
        revisions: revisions deleted, that no reader could see any more.
        settled: revisions made current of tasks that had won.
    """

    blobs: int = 0
    bytes: int = 0
    revisions: int = 0
    settled: int = 0


def sweep(store: Store, outcome: Outcome, grace: float = 3600.0) -> Swept:
    """Remove from a store what nobody can reach, and finish what writers that died had begun.

    It may run beside readers, writers and other sweepers. Blobs of tasks are not touched, only those of objects.

    Args:
        store: the store.
        outcome: tells whether the task that staged a revision has won.
        grace: seconds that a blob without an object is left alone, and a revision that another has replaced.
    """
    done = Swept()
    store.sweep_litter(grace)
    old = {info.name: info.size for info in store.blobs(PREFIX) if info.age >= grace}
    _sweep_revisions(store, outcome, grace, done)
    named = _named_blobs(store)
    _sweep_blobs(store, {name: size for name, size in old.items() if name not in named}, done)
    return done


def _sweep_revisions(store: Store, outcome: Outcome, grace: float, done: Swept) -> None:
    for _base, values in groupby(_records(store), key=lambda each: each[0].rpartition("\x1f")[0]):
        rows = [row_of(*each) for each in values]
        staged = [row for row in rows if row.record.staged]
        verdicts = [(row, outcome(row.record.task, row.record.attempt, row.record.kept)) for row in staged]
        won = [row for row, verdict in verdicts if verdict]
        lost = [row for row, verdict in verdicts if verdict is False]
        if won:
            inserts = {row.key + SETTLED: settled(row.record) for row in won}
            store.commit([Group(Space.OBJECTS, inserts), _deletion(won)])
            done.settled += len(won)
        passed = [*lost, *_passed(rows, grace)]
        if passed:
            store.commit([_deletion(passed)])
            done.revisions += len(passed)


def _deletion(rows: Iterable[Row]) -> Group:
    return Group(Space.OBJECTS, {}, [row.key for row in rows])


def _passed(rows: list[Row], grace: float) -> list[Row]:
    """Return those of an object's revisions, from the oldest to the newest, that are replaced or dropped."""
    settled = [row for row in rows if not row.record.staged]
    found: list[Row] = []
    for place, row in enumerate(settled):
        by = next((each for each in settled[place + 1 :] if _replaces(each, row)), None)
        if by is not None and _age(by.record) >= grace:
            found.append(row)
    if rows[0].record.dropped and _age(rows[0].record) >= max(grace, _TOMBSTONE):
        # A drop is remembered for a while, so that what was staged before it does not come back.
        found.append(rows[0])
    return found


def _replaces(later: Row, row: Row) -> bool:
    versioned = row.key.split("\x1f")[1] == "models/"
    return not versioned or later.record.dropped or later.record.version == row.record.version


def _age(record: Record) -> float:
    return (dt.datetime.now(dt.UTC) - record.modified).total_seconds()


def _records(store: Store) -> Iterator[tuple[str, bytes]]:
    after = ""
    while page := store.scan(Space.OBJECTS, "", after=after, limit=_PAGE):
        yield from ((key, value) for key, value in page if not key.startswith(_MARKS))
        after = page[-1][0]


class _Ref(msgspec.Struct, array_like=True):
    name: str


class _Refs(msgspec.Struct):
    blobs: tuple[_Ref, ...] = ()


def _named_blobs(store: Store) -> set[str]:
    decode = msgspec.msgpack.Decoder(_Refs).decode
    return {ref.name for _key, value in _records(store) for ref in decode(value).blobs}


def _sweep_blobs(store: Store, unnamed: dict[str, int], done: Swept) -> None:
    """Delete blobs that no record names, as `Holding` in content.py expects it of a sweeper."""
    _remove_abandoned_marks(store)
    if not unnamed:
        return
    mark = f"{secrets.token_hex(8)} {time.time():.0f}".encode()
    begun = time.monotonic()
    groups = [Group(Space.OBJECTS, {doom_key(name): mark}) for name in unnamed]
    ours = [name for name, lost in zip(unnamed, store.commit(groups), strict=True) if not lost]
    try:
        named = _named_blobs(store)
        for name in ours:
            if time.monotonic() - begun > MARK_LIFETIME:
                # Whoever waits for us will not wait longer, so nothing may be deleted any more.
                break
            if name not in named:
                store.delete_blobs([name])
                done.blobs += 1
                done.bytes += unnamed[name]
    finally:
        store.commit([Group(Space.OBJECTS, {}, [doom_key(name) for name in ours])])


def _remove_abandoned_marks(store: Store) -> None:
    """Remove the marks of sweepers that died; one that lives has given up long before."""
    marks = store.scan(Space.OBJECTS, _MARKS)
    old = [key for key, mark in marks if time.time() - int(mark.split()[1]) > _ABANDONED]
    if old:
        store.commit([Group(Space.OBJECTS, {}, old)])
