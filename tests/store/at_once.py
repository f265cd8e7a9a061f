"""Eight processes that put, fit, claim and finish on one store at once, and what must be true of it afterwards.

Run as ``python -m tests.store.at_once URL SECONDS``. Each call is delivered twice, as engines do it, some attempts
are tried again, and some are taken for lost while they go on: so every fact has somebody else who wants to write it.
"""

from __future__ import annotations

import collections
import json
import multiprocessing
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from omruntime.abc import Space, Store
from omruntime.ledger import FINAL, LOST, RETRY, Claim, Granted, Ledger, Refused, TaskState, new_id, new_nonce
from omruntime.store import ObjectStore, decode_record, discard_group, open_store, settle_group, sweep
from tests.ledger.made import end, request
from tests.store.conftest import AUTH

PROCESSES = 8
MODELS = 16
"""Models that are fitted, each by all processes."""

_context = multiprocessing.get_context("fork")
_calls = _context.SimpleQueue()
_begin = _context.Barrier(PROCESSES)


class Over(Exception):
    """Another process has failed, and nobody is to wait for its calls."""


@dataclass
class Done:
    """What one process has done, as far as it was told that it had won."""

    puts: int = 0
    rows: list[tuple[int, int]] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)
    claimed: list[tuple[str, int]] = field(default_factory=list)
    ended: list[tuple[str, int, str]] = field(default_factory=list)
    refused: int = 0
    """Deliveries of tasks that somebody else had."""


class Worker:
    """One of the processes.

    Args:
        store: its connection to the store.
        who: its number.
    """

    def __init__(self, store: Store, who: int) -> None:
        self._ledger = Ledger(store)
        self._store = store
        self._who = who
        self._datasets = objects(store, "data/")
        self._models = objects(store, "models/", self._ledger)
        self.done = Done()

    def round(self, number: int) -> None:
        """Put, submit a task that is delivered twice, and take two deliveries of anybody's."""
        self._put(number)
        task = f"{new_id()}-{self._who}"
        self._ledger.submit([(task, request(name="model.fit m"))])
        self.done.submitted.append(task)
        for _ in range(2):
            _calls.put(task)
        for _ in range(2):
            call = _calls.get()
            if not call:
                raise Over
            self._take(call)

    def _put(self, number: int) -> None:
        self._datasets.put([self._who, number], f"of {self._who}")
        self.done.puts = number
        if number % 5 == 1:
            self._datasets.put([[self._who, number]], "rows", append=True)
            self.done.rows.append((self._who, number))

    def _take(self, task: str) -> None:
        granted = self._claim(task, 1)
        if isinstance(granted, Granted):
            self._run(task, granted.attempt)
            return
        self.done.refused += 1
        if granted.end is None and _chance(task, 3):
            self._take_for_lost(task)

    def _claim(self, task: str, first: int) -> Granted | Refused:
        who = Claim(host=f"h-{self._who}", nonce=new_nonce(), worker=f"w-{self._who}", started=1.0)
        granted = self._ledger.claim(task, who, first=first)
        if isinstance(granted, Granted):
            self.done.claimed.append((task, granted.attempt))
        return granted

    def _run(self, task: str, attempt: int) -> None:
        """Fit in a view of the attempt, end it, and make what was stored current where that was won."""
        view = self._models.staged(task, attempt)
        view.put(complex(self._who, attempt), f"m{_number(task) % MODELS}", attributes={"task": task})
        state = RETRY if attempt == 1 and _chance(task, 7) else "SUCCESS"
        won = self._end(task, attempt, state)
        counts = won and state in FINAL
        self._store.commit([(settle_group if counts else discard_group)(view.effects)])
        if counts:
            self._ledger.remove_requests([task])
        elif won:
            self._go_on(task, attempt + 1)

    def _take_for_lost(self, task: str) -> None:
        """End the attempt of somebody else, who may be about to end it as well, and run the next one."""
        state = self._ledger.states([task])[task]
        if not isinstance(state, TaskState) or state.end is not None or state.claim is None:
            return
        if self._end(task, state.attempt, LOST):
            self._go_on(task, state.attempt + 1)

    def _go_on(self, task: str, attempt: int) -> None:
        granted = self._claim(task, attempt)
        if isinstance(granted, Granted):
            self._run(task, granted.attempt)

    def _end(self, task: str, attempt: int, state: str) -> bool:
        won = self._ledger.end(task, attempt, end(state, worker=f"w-{self._who}"))
        if won:
            self.done.ended.append((task, attempt, state))
        return won


def objects(store: Store, prefix: str, ledger: Ledger | None = None) -> ObjectStore:
    committed = ledger.committed if ledger is not None else None
    return ObjectStore(store, prefix, bucket="tests", auth=AUTH, committed=committed)


def _number(task: str) -> int:
    return zlib.crc32(task.encode())


def _chance(task: str, one_of: int) -> bool:
    return _number(task) // MODELS % one_of == 0


def work(url: str, who: int, seconds: float) -> Done:
    """Do rounds for so many seconds from the moment at which all processes are there."""
    store = open_store(url, create=False)
    worker = Worker(store, who)
    _begin.wait()
    until = time.monotonic() + seconds
    number = 0
    try:
        while time.monotonic() < until:
            number += 1
            worker.round(number)
    except BaseException:
        _calls.put("")
        raise
    finally:
        store.close()
    return worker.done


def check(store: Store, done: list[Done]) -> None:
    """Compare what is in the store with what its processes were told."""
    ledger = Ledger(store)
    tasks = [task for each in done for task in each.submitted]
    once([claim for each in done for claim in each.claimed])
    once([each[:2] for one in done for each in one.ended])
    finals = [task for one in done for task, _, state in one.ended if state in FINAL]
    once(finals)
    assert set(finals) == set(tasks), "a task has no end, or one that nobody has submitted"
    ends = ledger.ends(tasks)
    assert {(task, attempt, found.state) for task, (attempt, found) in ends.items()} == {
        each for one in done for each in one.ended if each[2] in FINAL
    }
    assert list(ledger.open_tasks()) == []
    _check_objects(store, ledger, done, tasks)


def _check_objects(store: Store, ledger: Ledger, done: list[Done], tasks: list[str]) -> None:
    datasets, models = objects(store, "data/"), objects(store, "models/", ledger)
    for who, each in enumerate(done):
        assert datasets.get(f"of {who}") == [who, each.puts]
    rows = [tuple(row) for row in datasets.get("rows")]
    once(rows)
    assert set(rows) == {row for each in done for row in each.rows}
    for who in range(len(done)):
        mine = [row for row in rows if row[0] == who]
        assert mine == sorted(mine), "rows changed places"
    fitted = [meta.attributes["task"] for name in models.list() for meta in models.revisions(name)]
    once(fitted)
    assert set(fitted) == set(tasks)
    swept = sweep(store, ledger.outcome, grace=0)
    assert swept.settled == 0, "what a winner has stored was left for the sweeper"
    named = {ref.name for _key, value in _records(store) for ref in decode_record(value).blobs}
    assert {info.name for info in store.blobs()} == named
    assert all(not decode_record(value).staged for _key, value in _records(store))


def _records(store: Store) -> Iterator[tuple[str, bytes]]:
    yield from store.scan(Space.OBJECTS, "")


def once(found: Sequence[object]) -> None:
    """Check that nothing is in a list more than once."""
    double = [each for each, count in collections.Counter(found).items() if count > 1]
    assert not double, f"double: {double[:5]}"


def main(url: str, seconds: float) -> None:
    """Have all processes work, check what they have done, and print how much it was."""
    open_store(url).close()
    with ProcessPoolExecutor(PROCESSES, mp_context=_context) as pool:
        working = [pool.submit(work, url, who, seconds) for who in range(PROCESSES)]
        problems = [each.exception() for each in working]
    for problem in problems:
        if problem is not None and not isinstance(problem, Over):
            raise problem
    done = [each.result() for each in working]
    store = open_store(url, create=False)
    check(store, done)
    store.close()
    told = {
        "puts": sum(each.puts + len(each.rows) for each in done),
        "tasks": sum(len(each.submitted) for each in done),
        "attempts": sum(len(each.claimed) for each in done),
        "refused": sum(each.refused for each in done),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
