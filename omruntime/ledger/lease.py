"""Leases: how hosts show that they live, and how anybody can tell that one does not any more.

No clock is compared between machines. A host inserts a new number every third of the period; an observer counts, on
its own monotonic clock, the time in which it could read the store and saw no new number.
Of a host on its own machine it asks the kernel first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from omruntime.abc import Group, Space, Store
from omruntime.errors import StoreUnavailable
from omruntime.ledger.facts import Lease, decode, encode, lease_key, lease_number, lease_prefix
from omruntime.ledger.machine import born, is_gone, is_there, machine_id

__all__ = ["LEASE_VARIABLE", "LeaseHolder", "LeaseWatch", "lease_period"]

LEASE_VARIABLE = "OMRUNTIME_LEASE"
DEFAULT_PERIOD = 5.0
_NEAR = 8
"""Numbers after the last one that are looked up: an observer who comes once in a period meets a third as many."""


def lease_period() -> float:
    """Return the seconds after which a silent host counts as gone: ``OMRUNTIME_LEASE``, or 5."""
    return float(os.environ.get(LEASE_VARIABLE) or DEFAULT_PERIOD)


class LeaseHolder:
    """The lease of one host in one store; `renew` is called by the host's keeper every third of the period."""

    def __init__(self, store: Store, host: str, period: float) -> None:
        self.period = period
        self._store = store
        self._host = host
        self._number = 0
        pid = os.getpid()
        self._record = encode(Lease(period=period, machine=machine_id(), pid=pid, born=born(pid)))
        self.renew()

    def renew(self) -> None:
        """Insert the next number and sweep the one before."""
        number = self._number + 1
        old = [lease_key(self._host, self._number)] if self._number else []
        self._store.commit([Group(Space.LEDGER, {lease_key(self._host, number): self._record}, old)])
        self._number = number

    def release(self) -> None:
        """Give the lease up: from now on every observer knows that the host is gone."""
        self._store.commit([Group(Space.LEDGER, deletes=[lease_key(self._host, self._number)])])


@dataclass(slots=True)
class _Sighting:
    number: str
    quiet: float
    """Seconds of readable time without a new number."""
    seen: float
    """When the store was last read for it; 0 where that read failed."""


class LeaseWatch:
    """An observer of leases in one store."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._sightings: dict[str, _Sighting] = {}
        self._numbers: dict[str, int] = {}
        """Number of the lease that was last seen of each host."""

    def gone(self, host: str) -> bool:
        """Observe a host once more and tell whether it counts as gone.

        Raises:
            StoreUnavailable: the store cannot be read; the time until it can does not count.
        """
        try:
            # Twice before it counts as gone: a look that takes in several servers may miss a number that moves on.
            rows = self._newest(host) or self._newest(host)
        except StoreUnavailable:
            if host in self._sightings:
                self._sightings[host].seen = 0.0
            raise
        if not rows:
            return True
        number, lease = rows[0][0], decode(Lease, rows[0][1])
        if is_gone(lease.machine, lease.pid, lease.born):
            return True
        if is_there(lease.machine, lease.pid, lease.born):
            # It lives and cannot write: the store is locked, or its interpreter has no time for it.
            self._sightings.pop(host, None)
            return False
        return self._quiet(host, number, lease.period) > lease.period

    def _newest(self, host: str) -> list[tuple[str, bytes]]:
        """Return the lease with the highest number; looked up from where it was, as long as it is not far from there.

        Observers ask once a second, and a range is a look at every record on stores without an order.
        """
        number = self._numbers.get(host)
        near = [] if number is None else [lease_key(host, each) for each in range(number, number + _NEAR)]
        # In this order: a number is written before the one before it is deleted, so that one of them is met.
        rows = sorted(self._store.get(Space.LEDGER, near).items())
        if not rows or rows[-1][0] == near[-1]:
            rows = self._store.scan(Space.LEDGER, lease_prefix(host), reverse=True, limit=1)
        if rows:
            self._numbers[host] = lease_number(rows[-1][0])
        else:
            self._numbers.pop(host, None)
        return rows[-1:]

    def _quiet(self, host: str, number: str, period: float) -> float:
        now = self._clock()
        sighting = self._sightings.get(host)
        if sighting is None or sighting.number != number:
            self._sightings[host] = _Sighting(number, 0.0, now)
            return 0.0
        if sighting.seen:
            # A gap far above the period means that the observer itself stood still, and perhaps the host with it.
            sighting.quiet += min(now - sighting.seen, period / 2)
        sighting.seen = now
        return sighting.quiet
