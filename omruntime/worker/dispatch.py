"""Dispatch: which delivery goes to which slot, and when; and the future of each, resolved once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from omruntime.abc import Buffer, Group
from omruntime.errors import RuntimeClosed, StoreUnavailable
from omruntime.ledger import Claim, End, Refused, new_nonce
from omruntime.wire import CallHeader
from omruntime.worker.delivery import Delivery, WorkQueue
from omruntime.worker.keeper import Keeper
from omruntime.worker.sites import Sites
from omruntime.worker.slot import Slot

if TYPE_CHECKING:
    from omruntime.worker.attempts import Attempts
    from omruntime.worker.crew import Crew

__all__ = ["Dispatcher"]

_STORE_PAUSE = 0.5
_DRAIN_LOOK = 0.5
_SPENT_LIMIT = 32


class Dispatcher:
    """The open deliveries of one host.

    Args:
        host: id of the host, which claims are made for.
        sites: the stores that calls name.
        keeper: calls back what has to wait.
        implied: labels that every slot has.
    """

    def __init__(self, host: str, sites: Sites, keeper: Keeper, implied: frozenset[str] = frozenset()) -> None:
        self._host, self._sites, self._keeper, self._implied = host, sites, keeper, implied
        self._lock = threading.Lock()
        self._settled = threading.Condition(self._lock)
        self._queue = WorkQueue()
        self._idle: list[Slot] = []
        self._open: dict[str, list[Delivery]] = {}
        self._spent: list[Delivery] = []
        self.closed = False
        self.freed = threading.Event()
        self.when_freed: Callable[[], None] = lambda: None
        """Set whenever a slot has nothing to do any more, or a task begins to wait; `WorkerHost` says what for."""
        self.abandoned = False
        """Nobody waits any more for a store that is not there."""
        self.attempts: Attempts
        self.follow: Callable[[Delivery, End, bool], bool] = lambda delivery, end, again: True
        """Does what follows from a terminal end, and tells whether it is done; the flag: somebody may have before."""
        self.crew: Crew

    # -- in ------------------------------------------------------------------------------------------------------

    def accept(self, header: CallHeader, payload: Sequence[Buffer]) -> Delivery:
        """Take a checked call.

        Raises:
            RuntimeClosed: no more calls are taken.
            StoreUnavailable: the store that it names cannot be opened, or is another one.
        """
        site = self._sites.get(header.store_id, header.store_url)
        delivery = Delivery(header, tuple(payload), site, Future(), self._implied)
        with self._lock:
            if self.closed:
                raise RuntimeClosed("this host is closed and takes no more calls")
            self._open.setdefault(delivery.task, []).append(delivery)
        return delivery

    def dispatch(self, delivery: Delivery, request: Group | None = None) -> None:
        """Start a delivery in an idle slot of its labels, or queue it.

        Args:
            delivery: an accepted delivery.
            request: recorded on the way, in the same transaction as the claim where a slot is idle.

        Raises:
            StoreUnavailable: the request cannot be recorded.
        """
        with self._lock:
            slot = self._take_idle(delivery.labels)
            if slot is None and request is None:
                self._queue.put(delivery)
        if slot is not None:
            self._begin_or_release(slot, delivery, request)
        elif request is not None:
            delivery.site.store.commit([request])
            self.dispatch(delivery)
        else:
            self.crew.even_out()

    def _take_idle(self, labels: frozenset[str]) -> Slot | None:
        """Reserve an idle slot of these labels; the lock is held."""
        # The one that was busy last is warm: its memory is in the processor's cache.
        slot = next((slot for slot in reversed(self._idle) if labels <= slot.labels), None)
        if slot is not None:
            self._idle.remove(slot)
        return slot

    def _begin_or_release(self, slot: Slot, delivery: Delivery, request: Group | None) -> None:
        begun = False
        try:
            begun = self._begin(slot, delivery, request)
        finally:
            if not begun:
                self.release(slot)

    def _begin(self, slot: Slot, delivery: Delivery, request: Group | None = None) -> bool:
        """Claim a delivery and start it in a slot that was idle; False when there is nothing to start."""
        claim = self.new_claim(slot)
        ledger, task = delivery.site.ledger, delivery.task
        with slot.lock:
            if not slot.accepting or slot.delivery is not None:
                # Its runner has died since it was chosen; the next one asks for work when it is ready.
                if request is not None:
                    ledger.store.commit([request])
                self._queue.put(delivery)
                return True
            if request is not None:
                lost = ledger.store.commit([request, ledger.claim_group(task, 1, claim)])[1]
                if not lost:
                    self.launch(slot, delivery, 1, claim)
                    return True
            try:
                answer = ledger.claim(task, claim, first=delivery.attempt)
            except StoreUnavailable:
                # Claimed or not, it can only be settled when the store is back.
                self.later(_STORE_PAUSE, delivery)
                return False
            if not isinstance(answer, Refused):
                self.launch(slot, delivery, answer.attempt, claim)
                return True
        if answer.end is not None:
            self.attempts.follow(delivery, answer.end, again=True)
        self.settle(delivery, answer.end.outcome if answer.end is not None else b"")
        return False

    def new_claim(self, slot: Slot) -> Claim:
        """Return a fresh claim for a task that is to begin in the slot."""
        return Claim(host=self._host, nonce=new_nonce(), worker=slot.name, started=time.time())

    def launch(self, slot: Slot, delivery: Delivery, attempt: int, claim: Claim) -> None:
        """Send a claimed delivery to the slot's runner; the slot's lock is held."""
        delivery.attempt, delivery.started = attempt, claim.started
        delivery.kept, delivery.results = [], ""
        limit = delivery.header.timeout
        delivery.deadline = time.monotonic() + limit if limit is not None else None
        slot.delivery = delivery
        if slot.process is not None:
            task = {"attempt": attempt, "worker": slot.name}
            slot.process.send_task(delivery.header.store_url, task, delivery.payload)
        if delivery.deadline is not None:
            self._keeper.at(delivery.deadline, lambda: self.attempts.time_out(slot, delivery))

    def release(self, slot: Slot) -> None:
        """Give a slot its next delivery, or make it idle, or let it rest where others do its work."""
        while self.crew.takes_more(slot):
            with self._lock:
                delivery = self._queue.pop(slot.labels)
                if delivery is None:
                    if slot not in self._idle:
                        self._idle.append(slot)
                    self.note_freed()
                    return
            if self._begin(slot, delivery):
                return

    def note_freed(self) -> None:
        """Tell whoever fetches calls that there may be more room."""
        if not self.freed.is_set():
            self.freed.set()
        self.when_freed()

    def idle_for(self, labels: frozenset[str]) -> int:
        """Return how many idle slots have these labels, less the deliveries that wait for a slot already."""
        with self._lock:
            return sum(labels <= slot.labels for slot in self._idle) - len(self._queue)

    def next_for(self, slot: Slot) -> Delivery | None:
        """Take the oldest queued delivery that a busy slot may run next, where nothing speaks against another."""
        return self._queue.pop(slot.labels) if self.crew.is_plain else None

    def queued_for(self, labels: frozenset[str]) -> int:
        """Return how many deliveries wait for a slot of these labels."""
        return self._queue.count(labels)

    def expedite(self, task: str) -> list[Future[bytes]]:
        """Have a task, or the steps of a canvas, begin before others; return the futures of the task's deliveries."""
        deliveries = self._open_of(task)
        for delivery in deliveries or [each for each in self.open_deliveries() if each.header.canvas == task]:
            self._queue.promote(delivery)
        return [delivery.future for delivery in deliveries]

    def _open_of(self, task: str) -> list[Delivery]:
        with self._lock:
            return list(self._open.get(task, ()))

    def later(self, delay: float, delivery: Delivery) -> None:
        """Dispatch a delivery after ``delay`` seconds, unless it has been settled by then."""
        self._keeper.at(time.monotonic() + delay, lambda: self._dispatch_if_open(delivery))

    def _dispatch_if_open(self, delivery: Delivery) -> None:
        # Its future says less: whoever holds that may have resolved it, and the task is owed all the same.
        if delivery in self._open_of(delivery.task):
            self.dispatch(delivery)

    def withdraw_idle(self, slot: Slot) -> bool:
        """Give an idle slot no more deliveries; False when it is not idle."""
        with self._lock:
            if slot not in self._idle:
                return False
            self._idle.remove(slot)
            return True

    # -- out -----------------------------------------------------------------------------------------------------

    def settle(self, delivery: Delivery, outcome: bytes) -> None:
        """Resolve a delivery's future; it is not this host's business any more."""
        delivery.resolve(outcome)
        self._close_delivery(delivery)

    def refuse(self, delivery: Delivery, error: BaseException) -> None:
        """Fail a delivery's future: nothing of it was recorded."""
        delivery.refuse(error)
        self._close_delivery(delivery)

    def _close_delivery(self, delivery: Delivery) -> None:
        with self._lock:
            same = self._open.get(delivery.task, [])
            if delivery in same:
                same.remove(delivery)
            if not same:
                self._open.pop(delivery.task, None)
            if not self._open:
                self._settled.notify_all()

    def refuse_open(self, error: Exception) -> None:
        """Fail the futures of all deliveries that are not settled."""
        for delivery in self.open_deliveries():
            self.refuse(delivery, error)

    def spent(self, delivery: Delivery) -> None:
        """Note that a delivery's request is not needed any more; requests are deleted when a slot has time."""
        with self._lock:
            self._spent.append(delivery)
            if len(self._spent) < _SPENT_LIMIT:
                return
        self.clear_spent()

    def clear_spent(self) -> None:
        """Delete the requests of tasks that have ended."""
        with self._lock:
            spent, self._spent = self._spent, []
        for site in {id(each.site): each.site for each in spent}.values():
            try:
                site.ledger.remove_requests([each.task for each in spent if each.site is site])
            except StoreUnavailable:
                # A steward deletes what is left.
                continue

    def unqueue(self, task: str) -> Delivery | None:
        """Take a task out of the queue."""
        return self._queue.remove(task)

    def give_back(self, future: Future[bytes]) -> bool:
        """Let go of the delivery of a future, where it waits for a slot; False where it does not."""
        delivery = next((each for each in self.open_deliveries() if each.future is future), None)
        if delivery is None or not self._queue.withdraw(delivery):
            return False
        self.refuse(delivery, RuntimeClosed("this call was given back to its engine, before it could begin here"))
        return True

    def open_deliveries(self) -> list[Delivery]:
        """Return all deliveries that are not settled: queued, running, or waiting for another attempt."""
        with self._lock:
            return [delivery for same in self._open.values() for delivery in same]

    def close(self, wait: bool, meanwhile: Callable[[], None]) -> bool:
        """Take no more calls; False when somebody else has closed it before, or meanwhile.

        Args:
            wait: wait until nothing is open.
            meanwhile: called now and then while it waits.
        """
        while True:
            if wait:
                meanwhile()
            with self._lock:
                if wait and not self._settled.wait_for(lambda: self.closed or not self._open, _DRAIN_LOOK):
                    continue
                if self.closed:
                    return False
                self.closed = True
                self._settled.notify_all()
                return True
