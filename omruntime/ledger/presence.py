"""Who works on a store: the hosts whose leases are alive."""

from __future__ import annotations

import time
from collections.abc import Callable

from omruntime.abc import Space, Store
from omruntime.ledger.facts import Lease, decode
from omruntime.ledger.lease import LeaseWatch
from omruntime.ledger.machine import is_there

__all__ = ["live_hosts"]

_LOOKS = 5
"""How often a lease is looked at in its period."""


def live_hosts(
    store: Store, clock: Callable[[], float] = time.monotonic, wait: Callable[[float], object] = time.sleep
) -> list[str]:
    """Return the hosts of a store that are alive, in words for people; of one elsewhere that takes a lease period.

    It returns as soon as one is known to be alive, and then names those of which that is known.
    """
    watch = LeaseWatch(store, clock)
    first = _leases(store)
    doubtful = [host for host in first if not watch.gone(host)]
    while doubtful:
        now = _leases(store)
        alive = [host for host in doubtful if host in now and _is_alive(first[host], now[host])]
        if alive:
            return sorted(_called(host, now[host][1]) for host in alive)
        wait(min(first[host][1].period for host in doubtful) / _LOOKS)
        doubtful = [host for host in doubtful if not watch.gone(host)]
    return []


def _leases(store: Store) -> dict[str, tuple[str, Lease]]:
    """Return the newest lease of each host, with its key."""
    rows = store.scan(Space.LEDGER, "lease:")
    return {key.split(":")[1]: (key, decode(Lease, record)) for key, record in rows}


def _is_alive(before: tuple[str, Lease], now: tuple[str, Lease]) -> bool:
    lease = now[1]
    return before[0] != now[0] or is_there(lease.machine, lease.pid, lease.born)


def _called(host: str, lease: Lease) -> str:
    here = is_there(lease.machine, lease.pid, lease.born)
    return f"process {lease.pid} of this machine" if here else f"process {lease.pid} of another machine ({host})"
