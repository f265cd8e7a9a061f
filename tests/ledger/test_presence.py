"""Who works on a store, as far as leases tell."""

from __future__ import annotations

import os

from omruntime.abc import Group, Space, Store
from omruntime.ledger import LeaseHolder
from omruntime.ledger.facts import Lease, encode, lease_key
from omruntime.ledger.presence import live_hosts

PERIOD = 6.0


class Time:
    """A clock that goes on only while somebody waits, and what happens meanwhile."""

    def __init__(self, store: Store, renewed: tuple[str, ...] = ()) -> None:
        self.now = 0.0
        self._store = store
        self._renewed = renewed

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for host in self._renewed:
            elsewhere(self._store, host, int(self.now * 1000) + 1)


def elsewhere(store: Store, host: str, number: int = 1) -> None:
    record = encode(Lease(period=PERIOD, machine="another machine", pid=7, born="1"))
    store.commit([Group(Space.LEDGER, {lease_key(host, number): record})])


def hosts(store: Store, *renewed: str) -> tuple[list[str], float]:
    """Return who is alive where these renew their leases, and how long it took to know."""
    time = Time(store, renewed)
    return live_hosts(store, time, time.wait), time.now


def test_nobody_works_on_a_store_without_leases(store: Store) -> None:
    assert hosts(store) == ([], 0.0)


def test_a_process_of_this_machine_is_known_at_once(store: Store) -> None:
    elsewhere(store, "h-2")
    LeaseHolder(store, "h-1", PERIOD)
    assert hosts(store) == ([f"process {os.getpid()} of this machine"], 0.0)


def test_one_that_has_left_is_none(store: Store) -> None:
    LeaseHolder(store, "h-1", PERIOD).release()
    assert hosts(store) == ([], 0.0)


def test_of_one_elsewhere_it_is_known_when_its_lease_moves_or_its_period_is_over(store: Store) -> None:
    elsewhere(store, "h-1")
    elsewhere(store, "h-2")
    alive, took = hosts(store, "h-2")
    assert alive == ["process 7 of another machine (h-2)"]
    assert took < PERIOD
    alive, took = hosts(store)
    assert alive == []
    assert PERIOD <= took < 2 * PERIOD
