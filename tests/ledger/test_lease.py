"""Leases: who counts as gone, by the clock of the observer alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from omruntime.abc import Group, Space, Store
from omruntime.errors import StoreUnavailable
from omruntime.ledger import LeaseHolder, LeaseWatch, machine
from omruntime.ledger.facts import Lease, encode, lease_key
from omruntime.ledger.machine import born, is_gone, machine_id
from tests.ledger.made import Fails, keys
from tests.ledger.stepped import DictStore

PERIOD = 6.0
HOST = "h-1"


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def elsewhere(store: Store, number: int, host: str = HOST) -> None:
    """Write the lease of a host on another machine."""
    record = encode(Lease(period=PERIOD, machine="another machine", pid=1, born="1"))
    old = [lease_key(host, number - 1)]
    store.commit([Group(Space.LEDGER, {lease_key(host, number): record}, old)])


def seen_gone(watch: LeaseWatch, clock: Clock, seconds: float, step: float = 1.0) -> bool:
    """Look every ``step`` seconds for ``seconds``; tell whether the host counts as gone at the end."""
    gone = watch.gone(HOST)
    for _ in range(int(seconds / step)):
        clock.now += step
        gone = watch.gone(HOST)
    return gone


def test_a_host_that_renews_lives_however_long(store: Store) -> None:
    clock = Clock()
    watch = LeaseWatch(store, clock)
    for number in range(1, 30):
        elsewhere(store, number)
        assert not watch.gone(HOST)
        clock.now += PERIOD - 1
    assert len(keys(store)) == 1


def test_a_silent_host_is_gone_after_its_period_and_not_before(store: Store) -> None:
    clock = Clock()
    watch = LeaseWatch(store, clock)
    elsewhere(store, 1)
    assert not seen_gone(watch, clock, PERIOD)
    assert seen_gone(watch, clock, 1)


def test_one_new_number_starts_the_count_again(store: Store) -> None:
    clock = Clock()
    watch = LeaseWatch(store, clock)
    elsewhere(store, 1)
    seen_gone(watch, clock, PERIOD - 1)
    elsewhere(store, 2)
    assert not seen_gone(watch, clock, PERIOD - 1)


def test_the_time_in_which_the_store_could_not_be_read_does_not_count() -> None:
    store, clock = DictStore(), Clock()
    down = False
    watch = LeaseWatch(Fails(store, lambda: down), clock)
    elsewhere(store, 1)
    assert not seen_gone(watch, clock, 4)
    down = True
    for _ in range(100):
        clock.now += 1
        with pytest.raises(StoreUnavailable):
            watch.gone(HOST)
    down = False
    assert not seen_gone(watch, clock, 2)
    assert seen_gone(watch, clock, 1)


def test_an_observer_that_stood_still_gives_the_host_time(store: Store) -> None:
    clock = Clock()
    watch = LeaseWatch(store, clock)
    elsewhere(store, 1)
    assert not watch.gone(HOST)
    clock.now += 3600
    assert not watch.gone(HOST)
    clock.now += 3600
    assert not watch.gone(HOST)


def test_a_host_without_a_lease_is_gone(store: Store) -> None:
    assert LeaseWatch(store).gone("h-never")


def test_a_released_lease_is_gone_at_once(store: Store) -> None:
    holder = LeaseHolder(store, HOST, PERIOD)
    watch = LeaseWatch(store)
    assert not watch.gone(HOST)
    holder.renew()
    assert not watch.gone(HOST)
    holder.release()
    assert watch.gone(HOST)
    assert keys(store) == []


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_of_this_machine_that_was_killed_is_gone_at_once(
    store: Store, child: subprocess.Popen[bytes]
) -> None:
    record = encode(Lease(period=PERIOD, machine=machine_id(), pid=child.pid, born=born(child.pid)))
    store.commit([Group(Space.LEDGER, {lease_key(HOST, 1): record})])
    watch = LeaseWatch(store)
    assert not watch.gone(HOST)
    child.kill()
    # Dead is enough: whether its parent has waited for it does not matter.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert watch.gone(HOST)
    child.wait()
    assert watch.gone(HOST)


def test_a_process_of_this_machine_that_lives_is_not_gone_though_it_writes_nothing(
    store: Store, child: subprocess.Popen[bytes]
) -> None:
    """The store may be locked for writing, or the process be busy in C code that holds the interpreter's lock."""
    clock = Clock()
    watch = LeaseWatch(store, clock)
    record = encode(Lease(period=PERIOD, machine=machine_id(), pid=child.pid, born=born(child.pid)))
    store.commit([Group(Space.LEDGER, {lease_key(HOST, 1): record})])
    assert not seen_gone(watch, clock, 10 * PERIOD)
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    assert not seen_gone(watch, clock, PERIOD), "one that was stopped gets its period like any other"
    assert seen_gone(watch, clock, 1)
    child.send_signal(signal.SIGCONT)
    os.waitid(os.P_PID, child.pid, os.WCONTINUED)
    assert not seen_gone(watch, clock, 10 * PERIOD)


def test_a_process_that_has_the_pid_of_a_dead_one_is_not_mistaken_for_it() -> None:
    assert is_gone(machine_id(), os.getpid(), "12345 ticks")
    assert not is_gone(machine_id(), os.getpid(), born(os.getpid()))


@pytest.mark.parametrize(("machine", "birth"), [("", "1"), ("another", "1"), (machine_id(), "")])
def test_what_cannot_be_known_from_here_is_not_called_gone(machine: str, birth: str) -> None:
    assert not is_gone(machine, os.getpid(), birth)


def test_a_process_that_is_waited_for_while_it_is_looked_at_is_gone_before_and_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zombie = ["Z", *[""] * 18, "then"]
    looks: list[list[str] | OSError] = [zombie, *[FileNotFoundError("it was waited for")] * 2]

    def look(pid: int) -> list[str]:
        seen = looks.pop(0)
        if isinstance(seen, OSError):
            raise seen
        return seen

    monkeypatch.setattr(machine, "_stat", look)
    assert is_gone(machine_id(), 1, "then")
    assert is_gone(machine_id(), 1, "then")


class _Scanned(DictStore):
    """Counts how often it is looked through."""

    def __init__(self) -> None:
        super().__init__()
        self.scans = 0

    def scan(
        self, space: Space, prefix: str, *, after: str = "", reverse: bool = False, limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        self.scans += 1
        return super().scan(space, prefix, after=after, reverse=reverse, limit=limit)


def test_who_looks_on_looks_numbers_up_and_goes_through_the_store_where_they_are_far_ahead() -> None:
    store, clock = _Scanned(), Clock()
    watch = LeaseWatch(store, clock)
    number = 1
    for step, scans in ((0, 1), (1, 1), (2, 1), (0, 1), (7, 2), (100, 3), (1, 3)):
        number += step
        elsewhere(store, number)
        store.commit([Group(Space.LEDGER, deletes=[lease_key(HOST, each) for each in range(number)])])
        assert not watch.gone(HOST)
        assert store.scans == scans
        clock.now += 1
    store.commit([Group(Space.LEDGER, deletes=[lease_key(HOST, number)])])
    assert watch.gone(HOST)
    elsewhere(store, 1)
    assert not watch.gone(HOST)


class Missing(DictStore):
    """A store whose next look misses what moves meanwhile."""

    misses = 0

    def scan(self, *args: Any, **options: Any) -> list[tuple[str, bytes]]:
        if self.misses:
            self.misses -= 1
            return []
        return super().scan(*args, **options)


def test_a_look_that_misses_a_lease_which_moves_on_does_not_make_its_host_gone() -> None:
    store = Missing()
    holder = LeaseHolder(store, "host", 60.0)
    store.misses = 1
    assert not LeaseWatch(store).gone("host")
    holder.release()
    assert LeaseWatch(store).gone("host")
