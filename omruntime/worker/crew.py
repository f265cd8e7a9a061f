"""The slots of a host: as many as there shall be of each label set, and those that stand in while tasks wait.

Of each label set as many slots are at work as there are regular ones. A slot whose task waits for another task is not
at work: a spare takes its place when there is something to do. When the task goes on, a slot too many is at work, and
the first that has nothing to do rests.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from omruntime.abc import label_set
from omruntime.errors import BackendUnavailable, RuntimeClosed
from omruntime.worker.dispatch import Dispatcher
from omruntime.worker.slot import Slot

__all__ = ["WARM", "Crew"]

WARM = 10.0
"""Seconds that a spare is kept when nobody needs it."""
_START_LIMIT = 60.0
_PATIENCE = 2.0
"""Seconds that the runner of a slot which is not needed any more has to end by itself."""

Labels = frozenset[str]


class Crew:
    """The slots of one host.

    Args:
        make: makes a slot of these labels, a regular one or a spare, and does not start it.
        dispatcher: gives the slots their work.
    """

    def __init__(self, make: Callable[[Labels, bool], Slot], dispatcher: Dispatcher) -> None:
        self._make, self._dispatcher = make, dispatcher
        self._lock = threading.Lock()
        self._scaling = threading.Lock()
        self._gone: list[Slot] = []
        self._closed = False
        self.slots: tuple[Slot, ...] = ()
        """All slots, spares and leaving ones included."""
        self.is_plain = True
        """There are regular slots only, and no task waits: every slot that is free takes the next task."""

    # -- how many ------------------------------------------------------------------------------------------------

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have as many regular slots of each label set as it says; other label sets stay as they are.

        Returns when the new ones are ready. A slot that is not needed any more finishes its task first.

        Raises:
            BackendUnavailable: a runner cannot be started; no slot was added.
            RuntimeClosed: the host is closed.
        """
        wanted: Counter[Labels] = Counter()
        for label, count in workers.items():
            wanted[label_set(label)] += count
        with self._scaling:
            new: list[Slot] = []
            with self._lock:
                if self._closed:
                    raise RuntimeClosed("this host is closed, and starts no workers")
                for labels, count in wanted.items():
                    there = [slot for slot in self.slots if slot.labels == labels and not slot.spare]
                    new += self._adjust(there, labels, count)
                self._add(new)
                idle = self._remove(self._leavers())
                self.is_plain = False
            _dismiss(idle)
            self.even_out()
            self._wait_for(new)

    def _adjust(self, there: list[Slot], labels: Labels, count: int) -> list[Slot]:
        """Keep the first ``count`` of these slots, let the others leave, and return those that are missing."""
        # Those that are busy are kept before those that are idle, so that as few as possible are on their way out.
        there.sort(key=lambda slot: (slot.failure is not None, slot.leaving, slot.delivery is None))
        for number, slot in enumerate(there):
            slot.leaving = number >= count or slot.failure is not None
        staying = sum(not slot.leaving for slot in there)
        return [self._make(labels, False) for _ in range(count - staying)]

    def _add(self, new: list[Slot]) -> None:
        self.slots = (*self.slots, *new)
        for slot in new:
            slot.start()

    def _wait_for(self, new: list[Slot]) -> None:
        deadline = time.monotonic() + _START_LIMIT
        for slot in new:
            slot.began.wait(max(0.0, deadline - time.monotonic()))
            if slot.failure is not None or not slot.began.is_set():
                failure = slot.failure or TimeoutError(f"not ready after {_START_LIMIT:.0f} s")
                with self._lock:
                    unused = self._remove(new)
                _dismiss(unused)
                raise BackendUnavailable(f"the runner {slot.name} cannot be started: {failure}") from failure

    def regular(self) -> list[Slot]:
        """Return the slots that are the host's workers: they stay, and their runners are there."""
        return [
            slot
            for slot in self.slots
            if not (slot.spare or slot.leaving or slot.closing) and slot.failure is None and slot.began.is_set()
        ]

    # -- who works -----------------------------------------------------------------------------------------------

    def takes_more(self, slot: Slot) -> bool:
        """Tell whether a slot that is free takes the next task; one that does not rests, or leaves."""
        if self.is_plain:
            return True
        woken: list[Slot] = []
        over: list[Slot] = []
        with self._lock:
            mine = self._of(slot.labels)
            takes = not slot.leaving and slot.rests_since is None and self._is_needed(slot, mine)
            if slot.leaving:
                over = self._remove([slot])
            elif not takes and slot.rests_since is None:
                slot.rests_since = time.monotonic()
                woken = self._wake(mine, self._missing(mine))
        _dismiss(over)
        for each in woken:
            self._dispatcher.release(each)
        return takes

    def _is_needed(self, slot: Slot, mine: list[Slot]) -> bool:
        if slot.spare and any(_rests(each) for each in mine):
            return False
        return self._missing(mine) >= 0 or (not slot.spare and self._rest_idle(mine, spare=True))

    def has_changed(self) -> None:
        """Look at every slot from now on: a task has begun to wait."""
        with self._lock:
            self.is_plain = False
        self.even_out()

    def even_out(self) -> None:
        """Have as many slots at work as there are regular ones, whoever waits or goes on."""
        if self.is_plain:
            return
        with self._lock:
            if self._closed:
                return
            woken = [slot for labels in {slot.labels for slot in self.slots} for slot in self._even_out(labels)]
            self.is_plain = all(slot.at_work and not (slot.spare or slot.leaving) for slot in self.slots)
        for slot in woken:
            self._dispatcher.release(slot)
        self._dispatcher.note_freed()

    def has(self, labels: Labels) -> bool:
        """Tell whether there is a slot of these labels, busy or not."""
        return any(labels <= slot.labels for slot in self.slots)

    def room(self, labels: Labels) -> int:
        """Return how many more tasks of these labels would begin at once."""
        if self.is_plain:
            return max(0, self._dispatcher.idle_for(labels))
        with self._lock:
            fitting = {slot.labels for slot in self.slots if labels <= slot.labels}
            missing = sum(max(0, self._missing(self._of(each))) for each in fitting)
        return max(0, missing + self._dispatcher.idle_for(labels))

    def _even_out(self, labels: Labels) -> list[Slot]:
        """Return the slots that were woken up; spares are added only where there is something for them to do."""
        mine = self._of(labels)
        while self._missing(mine) < 0 and (self._rest_idle(mine, spare=True) or self._rest_idle(mine, spare=False)):
            continue
        relieved = self._relieve(mine)
        due = min(self._missing(mine), self._dispatcher.queued_for(labels))
        woken = self._wake(mine, due)
        self._add([self._make(labels, True) for _ in range(due - len(woken))])
        return relieved + woken

    def _relieve(self, mine: list[Slot]) -> list[Slot]:
        """Have regular slots take the places of idle spares."""
        relieved: list[Slot] = []
        while any(_rests(slot) for slot in mine) and self._rest_idle(mine, spare=True):
            relieved += self._wake(mine, 1)
        return relieved

    def _of(self, labels: Labels) -> list[Slot]:
        return [slot for slot in self.slots if slot.labels == labels and slot.failure is None]

    def _missing(self, mine: list[Slot]) -> int:
        """Return how many slots more should be at work; below 0: how many fewer."""
        return sum(not slot.spare for slot in mine) - sum(slot.at_work for slot in mine)

    def _rest_idle(self, mine: list[Slot], spare: bool) -> bool:
        """Have an idle slot rest; False when there is none."""
        for slot in mine:
            if slot.spare == spare and slot.at_work and self._dispatcher.withdraw_idle(slot):
                slot.rests_since = time.monotonic()
                return True
        return False

    def _wake(self, mine: list[Slot], count: int) -> list[Slot]:
        """Have up to ``count`` resting slots work again, regular ones first, and return them."""
        resting = sorted((slot for slot in mine if slot.rests_since is not None), key=lambda slot: slot.spare)
        woken = resting[: max(0, count)]
        for slot in woken:
            slot.rests_since = None
        return woken

    # -- the end -------------------------------------------------------------------------------------------------

    def check(self, now: float) -> list[BaseException]:
        """Let go of what is not needed, kill what does not end by itself, and notice who has died.

        Returns:
            Why spares could not be started, since the last call.
        """
        for slot in (*self.slots, *self._gone):
            slot.check(now)
        if self.is_plain:
            return []
        with self._lock:
            broken = [slot for slot in self.slots if slot.spare and slot.failure is not None]
            tired = [slot for slot in self.slots if slot.spare and now - (slot.rests_since or now) >= WARM]
            over = self._remove([*broken, *tired, *self._leavers()])
            self._gone = [slot for slot in self._gone if not slot.is_over]
        _dismiss(over)
        self.even_out()
        return [slot.failure for slot in broken if slot.failure is not None]

    def _leavers(self) -> list[Slot]:
        """Return the leaving slots that have nothing to do, and get nothing any more."""
        leaving = [slot for slot in self.slots if slot.leaving]
        return [slot for slot in leaving if slot.failure is not None or self._dispatcher.withdraw_idle(slot)]

    def has_lost_its_runner(self, slot: Slot) -> None:
        """Have no other runner started for a slot that is not needed."""
        with self._lock:
            over = self._remove([slot]) if slot.leaving or (slot.spare and slot.rests_since is not None) else []
        _dismiss(over)

    def _remove(self, over: Collection[Slot]) -> list[Slot]:
        """Take slots out, so that nobody gives them work; the lock is held. Return those that were there still."""
        there = [slot for slot in self.slots if slot in over]
        self.slots = tuple(slot for slot in self.slots if slot not in over)
        self._gone += there
        return there

    def close(self, patience: float) -> None:
        """End all slots; kill the runners that take longer than ``patience`` seconds."""
        with self._lock:
            self._closed = True
            slots = (*self.slots, *self._gone)
        for slot in slots:
            slot.stop()
        for slot in slots:
            slot.join(patience)


def _rests(slot: Slot) -> bool:
    """Tell whether this is a regular slot whose place a spare has."""
    return not slot.spare and slot.rests_since is not None


def _dismiss(over: Iterable[Slot]) -> None:
    for slot in over:
        slot.dismiss(_PATIENCE)
