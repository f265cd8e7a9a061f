"""Who waits for whom in a host: which slot's task waits for which other tasks, and how it is told of their ends."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from omruntime.worker.process import RunnerProcess
from omruntime.worker.slot import Slot

if TYPE_CHECKING:
    from omruntime.worker.canvases import Canvases
    from omruntime.worker.crew import Crew
    from omruntime.worker.dispatch import Dispatcher

__all__ = ["SPARES_VARIABLE", "Waits", "spares_limit"]

SPARES_VARIABLE = "OMRUNTIME_SPARES"
_DEFAULT_LIMIT = 64


def spares_limit() -> int:
    """Return how many tasks of one host may wait for others at a time: ``OMRUNTIME_SPARES``, or 64.

    Raises:
        ValueError: the variable is not a whole number, or negative.
    """
    given = os.environ.get(SPARES_VARIABLE) or str(_DEFAULT_LIMIT)
    if not given.isascii() or not given.isdigit():
        raise ValueError(f"{SPARES_VARIABLE}={given!r} must be a whole number: how many tasks of one host may wait")
    return int(given)


class Waits:
    """The waits of one host's tasks for other tasks.

    Args:
        dispatcher: knows the tasks that this host has; of others the runner reads the ledger itself.
        crew: has spares stand in for the slots whose tasks wait.
        canvases: knows the canvases that were submitted here.
        limit: slots whose tasks may wait at a time.
    """

    def __init__(self, dispatcher: Dispatcher, crew: Crew, canvases: Canvases, limit: int) -> None:
        self._dispatcher, self._crew, self._canvases, self._limit = dispatcher, crew, canvases, limit
        self._lock = threading.Lock()
        self._waiting: dict[Slot, RunnerProcess] = {}
        """Slots whose tasks wait, in the order in which they began to."""
        self._followed: set[str] = set()

    def begin(self, slot: Slot, task: str) -> None:
        """Note that the slot's task waits for another; beyond the limit it is told that it cannot."""
        process = slot.process
        if process is None or slot.delivery is None:
            return
        with self._lock:
            refused = slot not in self._waiting and len(self._waiting) >= self._limit
            if not refused:
                self._waiting[slot] = process
                slot.waits.add(task)
        if refused:
            self._refuse(process, [task], f"{self._limit} tasks of this host wait for others already")
            return
        self._follow(slot, task)
        self._crew.has_changed()

    def _follow(self, slot: Slot, task: str) -> None:
        futures = self._dispatcher.expedite(task) or self._canvases.watched(task)
        if not futures:
            self._tell(slot, task, b"")
        with self._lock:
            if task in self._followed or not futures:
                return
            self._followed.add(task)
        for future in futures:
            future.add_done_callback(lambda done: self._ended(task, done))

    def _ended(self, task: str, done: Future[bytes]) -> None:
        """Tell all who wait for a task, and count them as going on before the task's slot looks for more work."""
        known = not done.cancelled() and done.exception() is None
        outcome = done.result() if known else b""
        with self._lock:
            self._followed.discard(task)
            waiting = [slot for slot in self._waiting if task in slot.waits]
        for slot in waiting:
            if self._tell(slot, task, outcome) and outcome:
                self._leave_off(slot, task)
        self._crew.even_out()

    def _tell(self, slot: Slot, task: str, outcome: bytes) -> bool:
        """Push an outcome; where that is not possible at once the runner finds it in the ledger."""
        process = self._waiting.get(slot)
        return process is not None and process.tell("told", {"task": task}, (outcome,))

    def _leave_off(self, slot: Slot, task: str) -> None:
        with self._lock:
            slot.waits.discard(task)
            if not slot.waits:
                self._waiting.pop(slot, None)

    def end(self, slot: Slot, task: str) -> None:
        """Note that nobody in the slot's task waits for the other one any more."""
        self._leave_off(slot, task)
        self._crew.even_out()

    def forget(self, slot: Slot) -> None:
        """Note that the slot's task is over, or its runner dead."""
        if slot in self._waiting:
            with self._lock:
                self._waiting.pop(slot, None)
                slot.waits.clear()
            self._crew.even_out()

    def give_up(self, why: str) -> None:
        """Tell the task that began to wait last that it cannot: nobody can stand in for it."""
        with self._lock:
            if not self._waiting:
                return
            slot, process = self._waiting.popitem()
            tasks = sorted(slot.waits)
            slot.waits.clear()
        self._refuse(process, tasks, why)
        self._crew.even_out()

    def _refuse(self, process: RunnerProcess, tasks: list[str], why: str) -> None:
        process.send("refused", {"tasks": tasks, "why": why})
