"""The tasks of a store that are over, beside what another store knows of them.

A copy has what readers of a task ask for: claims, ends, what was printed, plans of canvases, and the tombstones of
tasks whose records are gone. It has nothing of work under way (requests, sendings, marks of canvases, leases): a call
names the store that it was made for, and no worker runs it in another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from omruntime.abc import Space, Store
from omruntime.errors import VersionMismatch
from omruntime.ledger.facts import (
    CANVAS_NAMES,
    FINAL,
    End,
    canvas_key,
    claim_key,
    decode,
    end_key,
    logs_key,
    request_key,
)
from omruntime.ledger.paging import pages
from omruntime.store.copying import Change, change

__all__ = ["check_kinds", "task_changes"]

COPIED = frozenset({"claim", "end", "logs", "canvas"})
"""Kinds of facts that a copy has of tasks that are over."""
LEFT = frozenset({"request", "sent", "mark", "lease"})
"""Kinds of facts about work under way, which no copy has."""
_PAGE = 500
_TASKS = 200
_LAST = "\U0010ffff"


def check_kinds(store: Store) -> None:
    """Check that it was decided of every kind of fact in a ledger whether a copy has it.

    Raises:
        VersionMismatch: there is one that is not known here.
    """
    after = ""
    while rows := store.scan(Space.LEDGER, "", after=after, limit=1):
        kind = rows[0][0].partition(":")[0]
        if kind not in COPIED | LEFT:
            raise VersionMismatch(
                f"the ledger of {store.url} has facts of the kind {kind!r}, which this omruntime does not know: a "
                "newer one has written them; upgrade omruntime here"
            )
        after = f"{kind}:{_LAST}"


@dataclass(slots=True)
class _Task:
    """What the source knows of a task."""

    id: str
    claims: dict[int, bytes]
    ends: dict[int, bytes] = field(default_factory=dict)
    logs: dict[int, bytes] = field(default_factory=dict)
    plan: bytes | None = None
    requested: bool = False
    final: int = 0
    """The attempt that ended it."""
    last: End | None = None
    """How that ended."""

    @property
    def is_expired(self) -> bool:
        """Whether its record is gone, and its tombstone is all that is left."""
        return not self.requested and not self.ends

    def stages(self) -> list[dict[str, bytes]]:
        """Return its facts, its end first: who reads a part of them is told that, or that there is no such task."""
        ends = {end_key(self.id, attempt): end for attempt, end in self.ends.items() if attempt != self.final}
        decides = {end_key(self.id, self.final): self.ends[self.final]} if self.final else {}
        beside = {canvas_key(self.id): self.plan} if self.plan else {}
        beside.update({logs_key(self.id, attempt): logs for attempt, logs in self.logs.items()})
        claims = {claim_key(self.id, attempt): claim for attempt, claim in self.claims.items()}
        return [{**beside, **decides}, ends, claims]


def task_changes(source: Store, target: Store, left: set[str], *, replace: bool) -> Iterator[Change]:
    """Yield each task of the source that is over, with what has to be written for it.

    Args:
        source: the store to copy from.
        target: the store to copy into.
        left: gets the ids of tasks that have begun and are not over.
        replace: replace what the target says of a task.
    """
    for tasks in pages(_tasks(source), _TASKS):
        _look_up(source, tasks)
        over = [task for task in tasks if task.last is not None or task.is_expired]
        left.update(task.id for task in tasks if task.last is None and not task.is_expired)
        there = _there(target, over)
        for task in over:
            yield change(
                *(f"task {task.id}", Space.LEDGER, task.stages(), there[task.id]),
                blobs=tuple(task.last.blobs) if task.last is not None else (),
                # What the target has beyond that has been forgotten, or has expired, in the source.
                goes_on=True,
                replace=replace,
            )


def _tasks(store: Store) -> Iterator[_Task]:
    """Yield the tasks that were begun or barred: each of them has a claim, and keeps it."""
    for task, rows in groupby(_claims(store), key=lambda row: row[0].split(":")[1]):
        yield _Task(task, {int(key.rpartition(":")[2]): record for key, record in rows})


def _claims(store: Store) -> Iterator[tuple[str, bytes]]:
    after = ""
    while page := store.scan(Space.LEDGER, "claim:", after=after, limit=_PAGE):
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1][0]


def _look_up(store: Store, tasks: list[_Task]) -> None:
    """Add what there is beside the claims: requests first, since a request goes only behind a terminal end."""
    requests = store.get(Space.LEDGER, [request_key(task.id) for task in tasks])
    attempts = [(task.id, attempt) for task in tasks for attempt in task.claims]
    found = store.get(Space.LEDGER, [key(*each) for each in attempts for key in (end_key, logs_key)])
    for task in tasks:
        task.requested = request_key(task.id) in requests
        for attempt in task.claims:
            for key, facts in ((end_key, task.ends), (logs_key, task.logs)):
                if (record := found.get(key(task.id, attempt))) is not None:
                    facts[attempt] = record
        for attempt, record in task.ends.items():
            end = decode(End, record)
            if end.state in FINAL:
                task.final, task.last = attempt, end
    canvases = [task for task in tasks if task.last is not None and task.last.name.startswith(CANVAS_NAMES)]
    plans = store.get(Space.LEDGER, [canvas_key(task.id) for task in canvases])
    for task in canvases:
        task.plan = plans.get(canvas_key(task.id))


def _there(target: Store, tasks: list[_Task]) -> dict[str, dict[str, bytes]]:
    """Return what the target has of tasks; of those that have expired in the source all that a copy has brought."""
    wanted = {task.id: [key for stage in task.stages() for key in stage] for task in tasks}
    first = {end_key(task.id, 1): task.id for task in tasks if task.is_expired}
    found = target.get(Space.LEDGER, [*first, *(key for keys in wanted.values() for key in keys)])
    there = {task: {key: found[key] for key in keys if key in found} for task, keys in wanted.items()}
    for key in first.keys() & found.keys():
        there[first[key]] = _all_of(target, first[key])
    return there


def _all_of(store: Store, task: str) -> dict[str, bytes]:
    facts = store.get(Space.LEDGER, [canvas_key(task)])
    for kind in ("claim", "end", "logs"):
        facts.update(store.scan(Space.LEDGER, f"{kind}:{task}:"))
    return facts
