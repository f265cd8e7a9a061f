"""One call in a host: from the moment it is accepted to the moment its future is resolved."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from omruntime.abc import Buffer, label_set
from omruntime.ledger import lost_budget
from omruntime.store import Effect
from omruntime.wire import CallHeader
from omruntime.worker.sites import Site

__all__ = ["Delivery", "WorkQueue"]


@dataclass(slots=True, eq=False)
class Delivery:
    """A checked call and what has become of it here."""

    header: CallHeader
    payload: tuple[Buffer, ...]
    site: Site
    future: Future[bytes]
    implied: frozenset[str] = frozenset()
    """Labels that every slot of this host has, beside its own."""
    labels: frozenset[str] = field(init=False)
    attempt: int = 1
    """The attempt that runs here, or before a claim the lowest that can be open."""
    started: float = 0.0
    """Seconds since the epoch when this attempt was claimed."""
    deadline: float | None = None
    """Monotonic time at which its time is over."""
    kept: list[Effect] = field(default_factory=list)
    """What this attempt has stored that counts with whatever final end it comes to."""
    results: str = ""
    """Name of the executed copy of this attempt, where it is a notebook's."""
    queued: bool = False
    """It waits for a slot of its labels."""

    def __post_init__(self) -> None:
        self.labels = label_set(self.header.label) - self.implied

    @property
    def task(self) -> str:
        """Id of the task."""
        return self.header.id

    def may_retry_failure(self) -> bool:
        """Tell whether another attempt is due after the user's exception."""
        return self.header.retries is not None and self.attempt <= self.header.retries

    def may_retry_loss(self) -> bool:
        """Tell whether another attempt is due after the loss of the worker."""
        return self.attempt < lost_budget(self.header.retries)

    def resolve(self, outcome: bytes) -> None:
        """Hand the packed outcome to whoever holds the future; empty means: read the ledger."""
        try:
            self.future.set_result(outcome)
        except InvalidStateError:
            # The holder cancelled the future; the outcome is in the ledger.
            return

    def refuse(self, error: BaseException) -> None:
        """Tell whoever holds the future that this delivery came to nothing."""
        try:
            self.future.set_exception(error)
        except InvalidStateError:
            return


class WorkQueue:
    """Deliveries that wait for a runner of their labels; the oldest that fits comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._before_all = itertools.count(-1, -1)
        self._waiting: dict[frozenset[str], deque[tuple[int, Delivery]]] = {}

    def put(self, delivery: Delivery) -> None:
        """Add a delivery behind the others of its labels."""
        with self._lock:
            delivery.queued = True
            self._waiting.setdefault(delivery.labels, deque()).append((next(self._numbers), delivery))

    def pop(self, labels: frozenset[str]) -> Delivery | None:
        """Take the oldest delivery that a runner of these labels may run."""
        if not self._waiting:
            return None
        with self._lock:
            fitting = [queue for wanted, queue in self._waiting.items() if queue and wanted <= labels]
            if not fitting:
                return None
            delivery = min(fitting, key=lambda queue: queue[0][0]).popleft()[1]
            delivery.queued = False
            return delivery

    def promote(self, delivery: Delivery) -> None:
        """Put a queued delivery before all others: another task waits for it.

        The last one to be waited for comes first. So a tree of tasks is worked on depth first, and no more of them
        wait at a time than it is deep, for each slot.
        """
        if not delivery.queued:
            return
        with self._lock:
            queue = self._waiting[delivery.labels]
            for entry in queue:
                if entry[1] is delivery:
                    queue.remove(entry)
                    queue.appendleft((next(self._before_all), delivery))
                    return

    def count(self, labels: frozenset[str]) -> int:
        """Return how many deliveries wait that a runner of these labels may run."""
        with self._lock:
            return sum(len(queue) for wanted, queue in self._waiting.items() if wanted <= labels)

    def remove(self, task: str) -> Delivery | None:
        """Take out the delivery of a task."""
        return self._take(lambda delivery: delivery.task == task)

    def withdraw(self, delivery: Delivery) -> bool:
        """Take out a delivery; False where it does not wait any more."""
        return self._take(lambda queued: queued is delivery) is not None

    def _take(self, wanted: Callable[[Delivery], bool]) -> Delivery | None:
        with self._lock:
            for queue in self._waiting.values():
                for entry in queue:
                    if wanted(entry[1]):
                        queue.remove(entry)
                        entry[1].queued = False
                        return entry[1]
        return None

    def __len__(self) -> int:
        with self._lock:
            return sum(len(queue) for queue in self._waiting.values())
