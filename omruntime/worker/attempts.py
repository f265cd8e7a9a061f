"""How attempts end in a host: by an outcome, by the runner's death, by time, by a stop, by somebody else's end.

Whoever takes the delivery out of its slot, under the slot's lock, is the one who ends the attempt.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from omruntime.abc import Space, Store
from omruntime.auth import Auth
from omruntime.errors import ResultExpired, StoreUnavailable, UnknownTask
from omruntime.ledger import FINAL, LOST, RETRY, Claim, End
from omruntime.ledger.facts import end_key
from omruntime.ledger.machine import process_state
from omruntime.store import Effect, discard_group, settle_group
from omruntime.worker import endings
from omruntime.worker.delivery import Delivery
from omruntime.worker.dispatch import Dispatcher
from omruntime.worker.process import Exit
from omruntime.worker.slot import Slot

__all__ = ["ABANDONED", "Attempts"]

ABANDONED = "was revoked: its runtime was closed without waiting for it"
"""What is said of tasks that a close without waiting has ended."""
REVOKED_BY_ENGINE = "was revoked: the engine's own tools asked for it"

Answer = TypeVar("Answer")
_STORE_PAUSE = 0.2


class Attempts:
    """The ends of the attempts that run in one host.

    Args:
        dispatcher: where deliveries come from and go back to.
        auth: keys that sign the outcomes which no runner can give.
    """

    def __init__(self, dispatcher: Dispatcher, auth: Auth) -> None:
        self._dispatcher = dispatcher
        self._auth = auth

    def finish(self, slot: Slot, data: dict[str, Any], outcome: bytes) -> None:
        """Record what the runner says of its task, and begin the slot's next one in the same transaction."""
        delivery = self._take(slot)
        if delivery is None or slot.process is None:
            return
        logs = slot.process.output.take(data["unread"])
        state = data["status"]
        if state == "FAILURE" and data["retryable"] and delivery.may_retry_failure():
            state = RETRY
        final = state in FINAL
        end = endings.ended(
            delivery, state, slot.name, outcome if final else b"", logs, data["blobs"] if final else None
        )
        following = self._dispatcher.next_for(slot)
        claim = self._dispatcher.new_claim(slot) if following is not None else None
        won, claimed = self._record(delivery, end, following, claim)
        self._after(delivery, end, won, data["effects"], data["blobs"])
        if following is None:
            self._dispatcher.release(slot)
        elif claimed and claim is not None:
            with slot.lock:
                self._dispatcher.launch(slot, following, following.attempt, claim)
        else:
            # Whether another attempt is open, and whose it is, takes a closer look.
            self._dispatcher.dispatch(following)
            self._dispatcher.release(slot)

    def _record(
        self, delivery: Delivery, end: End, following: Delivery | None, claim: Claim | None
    ) -> tuple[bool, bool]:
        """Write the end, and with it the claim of what follows; tell which of the two were won."""
        ledger = delivery.site.ledger
        if following is None or claim is None or following.site is not delivery.site:
            return self._insist(delivery, end), False
        groups = [
            ledger.end_group(delivery.task, delivery.attempt, end),
            ledger.claim_group(following.task, following.attempt, claim),
        ]
        try:
            lost_end, lost_claim = ledger.store.commit(groups)
        except StoreUnavailable:
            return self._insist(delivery, end), False
        return (not lost_end or self._insist(delivery, end)), not lost_claim

    def _insist(self, delivery: Delivery, end: End) -> bool:
        return self._patiently(lambda: delivery.site.ledger.end(delivery.task, delivery.attempt, end))

    def follow(self, delivery: Delivery, end: End, *, again: bool) -> None:
        """Do what follows from a terminal end, and then give up the request, which reminds stewards of that."""
        tries = itertools.chain([again], itertools.repeat(True))
        if self._patiently(lambda: self._dispatcher.follow(delivery, end, next(tries))):
            self._dispatcher.spent(delivery)

    def _patiently(self, write: Callable[[], Answer]) -> Answer:
        """Write, however long the store takes to come back: an outcome is never dropped for its absence.

        Raises:
            StoreUnavailable: it is not there, and the host is closed without waiting.
        """
        while True:
            try:
                return write()
            except StoreUnavailable:
                if self._dispatcher.abandoned:
                    raise
                time.sleep(_STORE_PAUSE)

    def keep(self, slot: Slot, data: dict[str, Any]) -> None:
        """Note what the slot's task has stored that counts however it ends."""
        with slot.lock:
            if slot.delivery is not None:
                slot.delivery.kept, slot.delivery.results = _effects(data["effects"]), data["results"]

    def _settle(self, delivery: Delivery, effects: Sequence[Effect], state: str) -> None:
        """Make those store effects current that count with this end of their attempt, and remove the others."""
        settled = [each for each in effects if state == "SUCCESS" or (each.kept and state in FINAL)]
        dropped = [each for each in effects if each not in settled]
        groups = [settle_group(settled)] * bool(settled) + [discard_group(dropped)] * bool(dropped)
        if groups:
            self._patiently(lambda: delivery.site.store.commit(groups))

    def _after(
        self, delivery: Delivery, end: End, won: bool, effects: Sequence[Any] = (), blobs: Sequence[str] = ()
    ) -> None:
        """Do what follows from an end: make store effects current, clear away, resolve or try again."""
        store = delivery.site.store
        staged = _effects(effects)
        delivery.kept = [each for each in staged if each.kept] or delivery.kept
        others = [each for each in staged if not each.kept]
        if won:
            self._settle(delivery, [*others, *delivery.kept], end.state)
            delivery.kept = []
        else:
            # What is kept goes by the end that somebody else has written.
            self._settle(delivery, others, LOST)
        if not (won and end.state in FINAL):
            # What the outcome shares with the arguments is needed by the next attempt.
            _delete(store, set(blobs) - _argument_blobs(delivery))
        if not won:
            self.read_ledger(delivery)
        elif end.state in FINAL:
            _drop_arguments(delivery, end)
            self.follow(delivery, end, again=False)
            self._dispatcher.settle(delivery, end.outcome)
        else:
            delivery.attempt += 1
            self._dispatcher.later(delivery.header.retry_delay if end.state == RETRY else 0.0, delivery)

    def read_ledger(self, delivery: Delivery) -> None:
        """Go by what somebody else has recorded: their outcome, or the attempt that is open now."""
        try:
            state = delivery.site.ledger.state(delivery.task)
        except (UnknownTask, ResultExpired):
            self._dispatcher.settle(delivery, b"")
            return
        except StoreUnavailable:
            # Whether something is open still a claim finds out, when the store is back.
            self._dispatcher.later(_STORE_PAUSE, delivery)
            return
        if delivery.kept:
            ended = state.end is not None and state.attempt == delivery.attempt
            kept, delivery.kept = delivery.kept, []
            self._settle(delivery, kept, state.status if ended else LOST)
        if (end := state.end) is not None:
            _drop_arguments(delivery, end)
            self.follow(delivery, end, again=True)
            self._dispatcher.settle(delivery, end.outcome)
        elif state.claim is None:
            delivery.attempt = state.attempt
            self._dispatcher.later(0.0, delivery)
        else:
            self._dispatcher.settle(delivery, b"")

    def runner_died(self, slot: Slot, exit: Exit, logs: str) -> None:
        """Record that the slot's task lost its runner, if it had one."""
        delivery = self._take(slot)
        if delivery is not None:
            self._lose(slot, delivery, exit, logs, "")

    def _lose(self, slot: Slot, delivery: Delivery, exit: Exit | None, logs: str, why: str) -> None:
        if delivery.may_retry_loss():
            end = endings.ended(delivery, LOST, slot.name, logs=logs)
        else:
            end = endings.lost(delivery, exit, self._auth, slot.name, logs, why)
        self._after(delivery, end, self._insist(delivery, end))

    def time_out(self, slot: Slot, delivery: Delivery) -> None:
        """Stop a delivery whose time is over, if the slot still runs it."""
        with slot.lock:
            if slot.delivery is not delivery or delivery.deadline is None or time.monotonic() < delivery.deadline:
                return
            slot.delivery, slot.accepting = None, False
        logs = slot.process.output.take() if slot.process is not None else ""
        if delivery.may_retry_failure():
            end = endings.ended(delivery, RETRY, slot.name, logs=logs)
        else:
            end = endings.timed_out(delivery, self._auth, slot.name, logs)
        slot.condemn()
        self._after(delivery, end, self._insist(delivery, end))

    def withdraw(self, slot: Slot, task: str) -> bool:
        """Stop a task that has ended elsewhere; False when the slot does not run it."""
        with slot.lock:
            delivery = slot.delivery
            if delivery is None or delivery.task != task:
                return False
            slot.delivery, slot.accepting = None, False
        self._keep_logs(slot, delivery)
        slot.condemn()
        self.read_ledger(delivery)
        return True

    def _has_ended(self, slot: Slot, task: str) -> bool:
        """Tell whether the attempt that a slot runs of a task has ended elsewhere."""
        delivery = slot.delivery
        try:
            return delivery is not None and delivery.task == task and _ended_elsewhere(delivery)
        except StoreUnavailable:
            # It is found out when the store is back.
            return False

    def _keep_logs(self, slot: Slot, delivery: Delivery) -> None:
        """Keep what a task has printed that somebody else has ended, who cannot know it."""
        logs = slot.process.output.take() if slot.process is not None else ""
        try:
            delivery.site.ledger.keep_logs(delivery.task, delivery.attempt, logs)
        except StoreUnavailable:
            # The end of the task matters more.
            return

    def watch(self, slot: Slot, now: float, period: float) -> None:
        """Give up a runner that has been stopped (state T) for a whole lease period."""
        if slot.delivery is None or process_state(slot.pid) not in ("T", "t"):
            slot.stopped_since = None
            return
        if slot.stopped_since is None:
            slot.stopped_since = now
        if now - slot.stopped_since < period:
            return
        delivery = self._take(slot)
        if delivery is not None:
            slot.condemn(grace=0.0)
            logs = slot.process.output.take() if slot.process is not None else ""
            self._lose(slot, delivery, None, logs, f"was stopped for {period:.0f} s")

    def look_for_foreign_ends(self, slots: Sequence[Slot]) -> None:
        """Stop the tasks whose running attempt somebody else has ended."""
        running = [(slot, slot.delivery) for slot in slots]
        for slot, delivery in running:
            if delivery is None:
                continue
            try:
                ended = _ended_elsewhere(delivery)
            except StoreUnavailable:
                return
            if ended and slot.delivery is delivery:
                self.withdraw(slot, delivery.task)

    def cancelled(self, task: str, slots: Sequence[Slot]) -> bool:
        """Stop a task that has ended as revoked, wherever it is; False when it is not here, or goes on.

        Whoever can reach the engine can say that a task was cancelled, so that it is looked up in the ledger.
        """
        self._dispatcher.unqueue(task)
        running = [slot for slot in slots if self._has_ended(slot, task) and self.withdraw(slot, task)]
        waiting = [each for each in self._dispatcher.open_deliveries() if each.task == task]
        for delivery in waiting:
            self.read_ledger(delivery)
        return bool(running or waiting)

    def revoke(self, task: str) -> None:
        """Record the end of a task that is open here, and is to be stopped."""
        for delivery in self._dispatcher.open_deliveries():
            if delivery.task == task:
                self._revoke(delivery, REVOKED_BY_ENGINE)

    def revoke_all(self, slots: Sequence[Slot]) -> None:
        """End everything that is open as revoked."""
        for delivery in self._dispatcher.open_deliveries():
            self._revoke(delivery, ABANDONED)
        for slot in slots:
            taken = self._take(slot)
            if taken is not None:
                slot.condemn(grace=0.0)
                self._keep_logs(slot, taken)
        for delivery in self._dispatcher.open_deliveries():
            self.read_ledger(delivery)

    def revoke_hopeless(self, slots: Sequence[Slot]) -> None:
        """End as revoked what waits for labels that no slot has, and none will have any more."""
        for delivery in self._dispatcher.open_deliveries():
            if not any(delivery.labels <= slot.labels and slot.failure is None for slot in slots):
                label = delivery.header.label
                self._revoke(delivery, f"was revoked: its runtime was closed, and had no worker of label {label!r}")
                self.read_ledger(delivery)

    def take_back(self, delivery: Delivery, slots: Sequence[Slot]) -> None:
        """Undo a submission that was interrupted half-way, so that nothing is left that looks like a task."""
        self._revoke(delivery, "was interrupted while it was submitted")
        self.cancelled(delivery.task, slots)

    def _revoke(self, delivery: Delivery, why: str) -> None:
        self._dispatcher.unqueue(delivery.task)
        end = endings.revoked(delivery, self._auth, why)
        try:
            delivery.site.ledger.close_task(delivery.task, delivery.attempt, end)
        except (StoreUnavailable, UnknownTask, ResultExpired):
            # Without its store the task ends with the lease of this host; without a record there is nothing to end.
            return

    def _take(self, slot: Slot) -> Delivery | None:
        with slot.lock:
            delivery, slot.delivery = slot.delivery, None
        return delivery


def _ended_elsewhere(delivery: Delivery) -> bool:
    """Tell whether somebody else has ended the running attempt; raises StoreUnavailable."""
    return bool(delivery.site.store.get(Space.LEDGER, [end_key(delivery.task, delivery.attempt)]))


def _effects(rows: Sequence[Any]) -> list[Effect]:
    """Return the effects that a message of the runner tells."""
    return [Effect(key, settled, tuple(replaces), kept) for key, settled, replaces, kept in rows]


def _argument_blobs(delivery: Delivery) -> set[str]:
    return {part.blob for part in delivery.header.parts if part.blob}


def _drop_arguments(delivery: Delivery, end: End) -> None:
    """Delete the arguments of a task that has ended, but for what its outcome shares with them."""
    _delete(delivery.site.store, _argument_blobs(delivery) - set(end.blobs))


def _delete(store: Store, blobs: set[str]) -> None:
    try:
        store.delete_blobs(blobs)
    except StoreUnavailable:
        # They are litter, which a steward clears away.
        return
