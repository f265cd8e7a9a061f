"""A whole store copied into another one: what must be so before, the passes, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterable

from omruntime.abc import Store
from omruntime.errors import CopyRefused, StoreUnavailable
from omruntime.ledger.copying import check_kinds, task_changes
from omruntime.ledger.ledger import Ledger
from omruntime.ledger.paging import pages
from omruntime.ledger.presence import live_hosts
from omruntime.ledger.states import TaskState
from omruntime.store.copying import Carrier, Tally, few, object_changes

__all__ = ["check_source", "copy_store"]

_PASSES = 3
_PAGE = 200


def check_source(source: Store, *, in_use: bool = False) -> None:
    """Check that a store can be copied as it is.

    Args:
        source: the store.
        in_use: it may be in use, and have tasks that are not over.

    Raises:
        CopyRefused: it is in use, or has tasks that are not over.
        VersionMismatch: it has facts of a kind that is not known here.
    """
    check_kinds(source)
    if in_use:
        return
    hosts = live_hosts(source)
    if hosts:
        raise CopyRefused(
            f"{source.url} is in use by {few(hosts)}: end it and copy then; or copy with --in-use, and once more "
            "when nothing uses it, for what changes meanwhile",
            names=tuple(hosts),
        )
    tasks = list(_open_tasks(source))
    if tasks:
        raise CopyRefused(
            f"{source.url} has tasks that are not over, which only run in the store that they were submitted to: "
            f"{few(tasks)}; wait for them, or cancel them ('omruntime status' lists them and ends those whose worker "
            "is gone), or leave them out with --in-use",
            names=tuple(tasks),
        )


def copy_store(
    source: Store, target: Store, *, replace: bool = False, in_use: bool = False, tally: Tally | None = None
) -> Tally:
    """Copy objects and tasks that are over into another store, and return what was done; what is there stays.

    A copy that was broken off at any moment is gone on with by the same call. Nothing is written before it is known
    that nothing is in the way, and a pass over both that finds nothing to write is the last one.

    Args:
        source: the store to copy from, which `check_source` has passed.
        target: the store to copy into.
        replace: replace what the target has under the same names.
        in_use: the source may change meanwhile.
        tally: what is told of it while it goes on.

    Raises:
        CopyRefused: both are the same store, or the target has something else under the same names, or the source
            goes on changing.
        StoreUnavailable: a store fails; or the source has not the content of something, or the target cannot take it,
            and all else is copied.
        VersionMismatch: the source has something that is not known here.
    """
    if source.id == target.id or source.url == target.url:
        raise CopyRefused(
            f"{source.url} and {target.url} are the same store ({source.id}): a copy goes into another one, which is "
            "made where there is none",
            names=(source.id,),
        )
    tally = tally or Tally()
    copy = _Copy(source, target, tally, replace=replace)
    copy.check()
    copy.run(in_use=in_use)
    tally.done = tally.total
    if tally.lost:
        wrong = [f"{name} ({why})" for name, why in tally.lost.items()]
        raise StoreUnavailable(
            f"of {source.url} everything is copied but {few(wrong)}: restore that there, or put it again in another "
            "way, drop or forget it, and copy again"
        )
    if tally.unsettled and not in_use:
        raise CopyRefused(
            f"{source.url} goes on changing while it is copied ({few(tally.unsettled)}): end what uses it and copy "
            "again, or copy with --in-use",
            names=tuple(tally.unsettled),
        )
    return tally


class _Copy:
    def __init__(self, source: Store, target: Store, tally: Tally, *, replace: bool) -> None:
        self._source = source
        self._target = target
        self._tally = tally
        self._replace = replace
        self._outcome = Ledger(source).outcome
        self._carrier = Carrier(source, target, tally, replace=replace)

    def check(self) -> None:
        """Refuse what is in the way of something in the target."""
        self._tally.stage = "looking at both"
        self._carrier.check(object_changes(self._source, self._target, self._outcome, replace=self._replace))
        self._carrier.check(task_changes(self._source, self._target, set(), replace=self._replace))
        self._tally.total += sum(info.size for info in self._source.blobs())

    def run(self, *, in_use: bool) -> None:
        """Copy until there is nothing left to be written."""
        self._tally.stage = "copying"
        written = self._pass(in_use)
        for _ in range(_PASSES - 1):
            # What was replaced since it was looked at may have lost its content, and is found anew.
            if not (written or self._tally.lost):
                return
            self._tally.stage = "looking again"
            written = self._pass(in_use)
            self._tally.changed += [name for name in written if name not in self._tally.changed]
        self._tally.unsettled = written

    def _pass(self, in_use: bool) -> list[str]:
        """Bring both up to date, and return the names of what was written."""
        self._tally.objects = self._tally.tasks = 0
        self._tally.lost = {}
        left = set(_open_tasks(self._source)) if in_use else set()
        # Objects first: who finds the end of a task finds what the task has stored.
        changes = object_changes(self._source, self._target, self._outcome, replace=self._replace)
        written = self._carrier.carry(changes)
        changes = task_changes(self._source, self._target, left, replace=self._replace)
        written += self._carrier.carry(changes)
        self._tally.left = sorted(left)
        return written


def _open_tasks(store: Store) -> Iterable[str]:
    """Yield the tasks that are not over; steps of a canvas that was never committed are no tasks."""
    ledger = Ledger(store)
    for page in pages(ledger.open_tasks(), _PAGE):
        states = ledger.states([task for task, _ in page])
        found = ((task, states[task]) for task, _ in page)
        yield from (task for task, state in found if isinstance(state, TaskState) and state.end is None)
