"""The steward: sends again what was requested and is owed, ends what died with its runtime, and clears away.

Any number of stewards may work on one store: every act of theirs is an insert that only one can win.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from omruntime.abc import Call, Group, Space
from omruntime.errors import ResultExpired, UnknownTask
from omruntime.ledger.facts import (
    FINAL,
    LOST,
    Claim,
    End,
    Request,
    Sent,
    called_back,
    claim_key,
    decode,
    encode,
    lease_prefix,
    sent_key,
    sent_prefix,
)
from omruntime.ledger.lease import LeaseWatch, lease_period
from omruntime.ledger.ledger import Ledger
from omruntime.ledger.paging import pages
from omruntime.ledger.states import TaskState

__all__ = ["EXPIRY_VARIABLE", "LostVerdict", "Report", "Steward", "default_expiry", "lost_budget", "lost_end"]

EXPIRY_VARIABLE = "OMRUNTIME_EXPIRE_DAYS"
_DEFAULT_DAYS = 7.0


def default_expiry() -> float:
    """Return the seconds that the record of a task is kept after its end: ``OMRUNTIME_EXPIRE_DAYS``, or 7 days."""
    return float(os.environ.get(EXPIRY_VARIABLE) or _DEFAULT_DAYS) * 24 * 3600


LOST_ATTEMPTS = 3
_PAGE = 200

ABANDONED = 3600.0
"""Seconds after which a canvas that nobody has committed counts as given up, where no lease tells."""

OVERDUE_PERIODS = 6
"""Lease periods for which a steward sees a task unclaimed before it sends it once more, whatever became of it."""

_RELIED_ON = 20
"""How much later than that it is sent again where the engine says that it has all calls which nobody has claimed."""

Followed = Callable[[str, Request, End], bool]
"""Does what follows from the end of a task (its id, its request, its terminal end), and tells whether it is done."""
LostVerdict = Callable[[str, TaskState, str], End]
"""Makes the terminal end of a lost task: its id, its state, what happened."""


def lost_budget(retries: int | None) -> int:
    """Return how many attempts a task has where its worker is lost."""
    return LOST_ATTEMPTS if retries is None else 1 + retries


@dataclass(slots=True)
class Report:
    """What one pass of a steward did."""

    open: int = 0
    lost: list[str] = field(default_factory=list)
    """Tasks whose attempt was ended because its worker was gone."""
    ended: list[str] = field(default_factory=list)
    """Tasks that were brought to a terminal end."""
    sent: list[str] = field(default_factory=list)
    """Tasks that were sent again."""


class Steward:
    """Looks after the open tasks of one store.

    Args:
        ledger: the ledger.
        verdict: makes the terminal end of a task whose worker or runtime is gone for good.
        own: a host whose tasks need no looking after: it is in this process, and does it itself.
        engine: address of the engine that `resend` sends to; tasks of other engines are not sent.
        resend: sends a call again; None where this steward has no engine.
        incarnation: the engine's present incarnation.
        watch: the observer of leases.
        queued: tells how many calls wait in the engine for a set of labels, None where it does not say. Of the tasks
            that were seen unclaimed for one lease period, as many as it does not have are sent again, the oldest.
        overdue: seconds for which a task may be seen unclaimed: its submitter may have died before it could send it,
            or a worker that had it before it could claim it. Sending it once more does no harm. By default six
            lease periods.
        follow: does what follows from the end of a step or of a task with a callback; None where this steward has
            no engine, and leaves it to one that has.
    """

    def __init__(
        self,
        ledger: Ledger,
        verdict: LostVerdict,
        *,
        own: str = "",
        engine: str = "",
        resend: Callable[[Call], object] | None = None,
        incarnation: Callable[[], str] | None = None,
        watch: LeaseWatch | None = None,
        follow: Followed | None = None,
        queued: Callable[[str], int | None] | None = None,
        overdue: float | None = None,
    ) -> None:
        self._ledger = ledger
        self._verdict = verdict
        self._own = own
        self._engine = engine
        self._resend = resend
        self._incarnation = incarnation
        self._watch = watch or LeaseWatch(ledger.store)
        self._follow = follow
        self._queued = queued
        self._overdue = OVERDUE_PERIODS * lease_period() if overdue is None else overdue
        self._seen_since: dict[str, float] = {}
        self._life = ""
        self._sent_now: set[str] = set()
        """Tasks that somebody has sent again in the engine's present life."""
        self._unclaimed: dict[str, list[tuple[str, Request]]] = {}
        """Tasks that the engine has to have, by their labels, the oldest first."""
        self._there: dict[str, int] = {}
        """How many calls the engine has said that it has, by their labels."""

    def step(self) -> Report:
        """Look at every open task once and do what is due."""
        report = Report()
        gone: dict[str, bool] = {}
        if self._incarnation is not None and (life := self._incarnation()) != self._life:
            self._life, self._sent_now = life, set()
        # Before the ledger is read: what is taken meanwhile has a claim, and is not taken for lost.
        self._there = self._held_by_the_engine()
        seen, self._seen_since = self._seen_since, {}
        foreign = (each for each in self._ledger.open_tasks() if not self._own or each[1].runtime != self._own)
        for page in pages(foreign, _PAGE):
            states = self._ledger.states([task for task, _ in page])
            for task, request in page:
                report.open += 1
                self._seen_since[task] = seen.get(task, time.monotonic())
                self.attend(task, request, states[task], gone, report)
        self._send_missing(report)
        self._sent_now &= self._seen_since.keys()
        self._sweep_leases(gone)
        return report

    def attend(
        self,
        task: str,
        request: Request,
        state: TaskState | UnknownTask | ResultExpired,
        gone: dict[str, bool],
        report: Report,
    ) -> None:
        """Do what is due for one open task."""
        if isinstance(state, Exception):
            if request.canvas:
                self._give_up(task, request, gone)
            return
        if state.end is not None:
            # Its writer died between writing the end and deleting the request.
            self._close(task, request, state.end, gone)
            return
        if request.runtime and self._is_gone(request.runtime, gone):
            end = self._verdict(task, state, "runtime ended")
            if self._ledger.close_task(task, state.attempt, end)[1]:
                report.ended.append(task)
            return
        if task == request.canvas:
            # What its steps owe is told by their own requests.
            return
        if state.claim is not None:
            if state.claim.host and self._is_gone(state.claim.host, gone):
                self._lose(task, request, state, report)
            return
        if self._owed(task, request, state, gone):
            self._send(task, request, state.attempt, report)

    def _held_by_the_engine(self) -> dict[str, int]:
        """Return how many calls wait in the engine, for the labels that some were seen unclaimed of."""
        labels, self._unclaimed = list(self._unclaimed), {}
        if self._queued is None:
            return {}
        counts = {label: self._queued(label) for label in labels}
        return {label: count for label, count in counts.items() if count is not None}

    def _send_missing(self, report: Report) -> None:
        """Send again what the engine had to have and has not: a worker took it and died before it had claimed it.

        An engine's queues bring the oldest call first, so that the oldest ones are those which are lost.
        """
        before = time.monotonic() - self._overdue / OVERDUE_PERIODS
        for label, count in self._there.items():
            tasks = [each for each in self._unclaimed.get(label, []) if self._seen_since[each[0]] <= before]
            for task, request in tasks[: max(0, len(tasks) - count)]:
                self._send(task, request, 1, report, again=True)

    def _close(self, task: str, request: Request, end: End, gone: dict[str, bool]) -> None:
        """Do what follows from an end; the request goes last, since it is what reminds of that."""
        follows = request.followed and not (request.runtime and self._is_gone(request.runtime, gone))
        if not follows or self._has_followed(task, request, end):
            self._ledger.clear(task, request, end)

    def _has_followed(self, task: str, request: Request, end: End) -> bool:
        return self._follow is not None and request.engine == self._engine and self._follow(task, request, end)

    def _give_up(self, task: str, request: Request, gone: dict[str, bool]) -> None:
        """Remove a step of a canvas whose submitter died before it was committed."""
        if request.runtime:
            abandoned = self._is_gone(request.runtime, gone)
        else:
            abandoned = time.time() - request.submitted > ABANDONED
        if abandoned and self._ledger.abort_canvas(request.canvas):
            self._ledger.remove_requests([task])
            self._ledger.store.delete_blobs(request.blobs)

    def _is_gone(self, host: str, gone: dict[str, bool]) -> bool:
        if host not in gone:
            gone[host] = self._watch.gone(host)
        return gone[host]

    def _lose(self, task: str, request: Request, state: TaskState, report: Report) -> None:
        verdict, attempt = self._verdict(task, state, "the worker's lease has run out"), state.attempt
        final = attempt >= lost_budget(request.retries)
        end = verdict if final else lost_end(verdict)
        if not self._ledger.end(task, attempt, end):
            return
        (report.ended if final else report.lost).append(task)
        if final:
            self._close(task, request, end, {})
        else:
            self._send(task, request, attempt + 1, report)

    def _owed(self, task: str, request: Request, state: TaskState, gone: dict[str, bool]) -> bool:
        """Tell whether nobody will start this attempt unless it is sent again; note what the engine has to have."""
        if self._resend is None or request.engine != self._engine or request.runtime:
            return False
        if state.attempt > 1:
            return not self._goes_on(task, state.attempt, gone)
        if request.waits and not self._ledger.store.scan(Space.LEDGER, sent_prefix(task), limit=1):
            return self._is_due_callback(task)
        if self._incarnation is not None and self._life != request.incarnation and task not in self._sent_now:
            return True
        self._unclaimed.setdefault(request.label, []).append((task, request))
        patience = self._overdue * (_RELIED_ON if request.label in self._there else 1)
        return task not in self._sent_now and time.monotonic() - self._seen_since.get(task, math.inf) >= patience

    def _goes_on(self, task: str, attempt: int, gone: dict[str, bool]) -> bool:
        """Tell whether the host of the attempt before this one lives: it begins this one itself, when it is due."""
        key = claim_key(task, attempt - 1)
        held = self._ledger.store.get(Space.LEDGER, [key]).get(key)
        host = decode(Claim, held).host if held is not None else ""
        return bool(host) and not self._is_gone(host, gone)

    def _is_due_callback(self, task: str) -> bool:
        about = called_back(task)
        return about is not None and about in self._ledger.ends([about])

    def _send(self, task: str, request: Request, attempt: int, report: Report, *, again: bool = False) -> None:
        """Send an attempt, once in a life of the engine, or ``again`` where that has lost it."""
        if self._resend is None or request.engine != self._engine:
            return
        if attempt == 1:
            self._sent_now.add(task)
        for number in itertools.count(1):
            key = sent_key(task, attempt, number)
            record = encode(Sent(incarnation=self._life))
            if not self._ledger.store.commit([Group(Space.LEDGER, {key: record})])[0]:
                break
            held = self._ledger.store.get(Space.LEDGER, [key]).get(key)
            if held is not None and decode(Sent, held).incarnation == self._life and not again:
                # It was sent in this life of the engine already.
                return
        self._resend(Call(id=task, name=request.name, label=request.label, payload=tuple(request.payload)))
        report.sent.append(task)

    def _sweep_leases(self, gone: dict[str, bool]) -> None:
        """Delete the leases of hosts that are gone and owe nothing any more."""
        for host, is_gone in gone.items():
            if is_gone:
                rows = self._ledger.store.scan(Space.LEDGER, lease_prefix(host))
                self._ledger.store.commit([Group(Space.LEDGER, deletes=[key for key, _ in rows])])

    def expire(self, older_than: float, now: Callable[[], float] = time.time) -> int:
        """Delete the records and values of tasks that ended more than ``older_than`` seconds ago.

        The first claim of each stays as its tombstone, so that an expired id is told from one never issued.
        """
        cutoff, removed, after = now() - older_than, 0, ""
        while rows := self._ledger.store.scan(Space.LEDGER, "end:", after=after, limit=500):
            after = rows[-1][0]
            for key, record in rows:
                task, attempt = key.split(":")[1:]
                end = decode(End, record)
                if end.submitted >= cutoff:
                    # Ids are ordered by time of submission: nothing behind this one can be older.
                    return removed
                if end.state in FINAL and end.ended < cutoff:
                    self._ledger.remove(task, int(attempt), end)
                    removed += 1
        return removed


def lost_end(verdict: End) -> End:
    """Return the end of a lost attempt that will be tried again."""
    return End(
        state=LOST,
        outcome=b"",
        name=verdict.name,
        worker=verdict.worker,
        submitted=verdict.submitted,
        started=verdict.started,
        ended=verdict.ended,
        logs=verdict.logs,
    )
