"""What the ledger knows of a canvas: its commit, marks of members that are over, steps that never ran, its end."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from omruntime.abc import Group, Space
from omruntime.canvas.plan import Plan
from omruntime.errors import CanvasError, UnknownTask
from omruntime.ledger import End, Ledger, Request, TaskState, bar_claim, step_id
from omruntime.ledger.facts import canvas_key, claim_key, encode, end_key, mark_key, mark_prefix
from omruntime.ledger.paging import pages

__all__ = ["GROUP", "PAGE", "CanvasRecords"]

GROUP = 32
"""Members whose ends are looked at together: no finisher looks at more."""
PAGE = 1000
"""Records that are read or written at a time."""
_PLANS = 64


class CanvasRecords:
    """The canvases of one store."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._lock = threading.Lock()

    def commit(self, canvas: str, plan: Plan, requests: Sequence[tuple[str, Request]]) -> None:
        """Record a canvas with all its tasks: the last insert makes all of them exist, nothing before it does.

        Raises:
            CanvasError: a steward took it for abandoned and has barred it; nothing was submitted.
        """
        store, last = self.ledger.store, Group(Space.LEDGER, {canvas_key(canvas): plan.encode()})
        *whole, rest = pages(requests, PAGE)
        for page in whole:
            store.commit([self.ledger.request_group(page)])
        if store.commit([self.ledger.request_group(rest), last])[1]:
            raise CanvasError(f"canvas {canvas} took too long to submit and was given up; nothing of it runs")

    def plan(self, canvas: str) -> Plan:
        """Return the plan of a committed canvas.

        Raises:
            UnknownTask: there is no such canvas, or its record is gone.
        """
        with self._lock:
            if canvas in self._plans:
                self._plans.move_to_end(canvas)
                return self._plans[canvas]
        record = self.ledger.store.get(Space.LEDGER, [canvas_key(canvas)]).get(canvas_key(canvas))
        if not record:
            raise UnknownTask(f"there is no canvas {canvas} in this store, or its record has expired")
        plan = Plan.decode(record)
        with self._lock:
            self._plans[canvas] = plan
            if len(self._plans) > _PLANS:
                self._plans.popitem(last=False)
        return plan

    # -- fan-in --------------------------------------------------------------------------------------------------

    def join(self, canvas: str, node: int, member: int, count: int, failed: str, *, again: bool) -> str | None:
        """Mark a member as over; see `Joins.join`.

        Members are marked in groups, groups in groups of groups, so that no caller looks at more than `GROUP` marks
        on each level. A mark holds the first step that has failed below it, in the order written.
        """
        store, level = self.ledger.store, 0
        while True:
            key = mark_key(canvas, node, level, member)
            lost = store.commit([Group(Space.LEDGER, {key: failed.encode()})])[0]
            if lost and not again:
                return None
            if count == 1:
                return failed
            group = member // GROUP
            first, size = group * GROUP, min(GROUP, count - group * GROUP)
            marks = self._marks(canvas, node, level, first, size)
            if len(marks) < size:
                return None
            failed = next((mark.decode() for mark in marks if mark), "")
            level, member, count = level + 1, group, -(-count // GROUP)

    def _marks(self, canvas: str, node: int, level: int, first: int, size: int) -> list[bytes]:
        keys = [mark_key(canvas, node, level, number) for number in range(first, first + size)]
        found = self.ledger.store.get(Space.LEDGER, keys)
        return [found[key] for key in keys if key in found]

    def clear(self, canvas: str) -> None:
        """Delete the request and the marks of a canvas that has ended, with all that follows from that done."""
        self.ledger.remove_requests([canvas])
        self.ledger.remove_all(mark_prefix(canvas))

    # -- ends ----------------------------------------------------------------------------------------------------

    def bar(
        self, canvas: str, steps: Iterable[int], make_end: Callable[[str, TaskState], End]
    ) -> tuple[list[str], dict[str, TaskState]]:
        """End steps that nobody has begun; return them, and the states of those that run."""
        barred: list[str] = []
        running: dict[str, TaskState] = {}
        for page in pages(steps, PAGE):
            tasks = [step_id(canvas, number) for number in page]
            idle = {task: state for task, state in self._open(tasks).items() if not state.runs}
            lost = self._end_idle(idle, make_end)
            done = {task: state for task, state in idle.items() if end_key(task, state.attempt) not in lost}
            self._clear([(task, state.request) for task, state in done.items() if state.request is not None])
            barred += done
            begun = {task: state for task, state in done.items() if claim_key(task, state.attempt) in lost}
            running.update({**self._open(tasks), **begun})
        return barred, running

    def _end_idle(self, idle: dict[str, TaskState], make_end: Callable[[str, TaskState], End]) -> frozenset[str]:
        """Claim and end tasks that nobody runs, in one go; return the keys of what was lost."""
        records: dict[str, bytes] = {}
        for task, state in idle.items():
            if state.claim is None:
                records[claim_key(task, state.attempt)] = encode(bar_claim())
            records[end_key(task, state.attempt)] = encode(make_end(task, state))
        return self.ledger.store.commit([Group(Space.LEDGER, records)])[0] if records else frozenset()

    def _open(self, tasks: Iterable[str]) -> dict[str, TaskState]:
        states = self.ledger.states(tasks)
        return {task: state for task, state in states.items() if isinstance(state, TaskState) and state.end is None}

    def _clear(self, requests: Sequence[tuple[str, Request]]) -> None:
        self.ledger.remove_requests([task for task, _ in requests])
        blobs = [blob for _, request in requests for blob in request.blobs]
        if blobs:
            self.ledger.store.delete_blobs(blobs)

    def end(self, canvas: str, end: End) -> bool:
        """Write the end of a canvas; False when it had ended before, and this changes nothing."""
        group = Group(Space.LEDGER, {end_key(canvas, 1): encode(end), claim_key(canvas, 1): encode(bar_claim())})
        lost = self.ledger.store.commit([group])[0]
        return end_key(canvas, 1) not in lost or self._is(canvas, end)

    def _is(self, canvas: str, end: End) -> bool:
        return self.ledger.store.get(Space.LEDGER, [end_key(canvas, 1)]).get(end_key(canvas, 1)) == encode(end)
