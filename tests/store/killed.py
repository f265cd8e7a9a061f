"""A writer that is killed at random moments, and what must be true of the store after each.

Run as ``python -m tests.store.killed URL ROUNDS SEED PACE``: everything is imported once, and each writer is a fork.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
from collections.abc import Iterator

from omruntime.abc import Space, Store
from omruntime.auth import Auth
from omruntime.store import ObjectStore, open_store
from omruntime.store.content import PREFIX
from omruntime.store.records import decode
from omruntime.store.sweeping import sweep

AUTH = Auth("tester", "a key for tests that protects nothing")
SIZES = (1, 1000, 300_000, 3_000_000)
LONGEST = 0.12
"""Seconds after which a writer is killed at the latest, at a pace of 1; it does some ten operations in that time."""


def objects(store: Store, prefix: str) -> ObjectStore:
    return ObjectStore(store, prefix, bucket="tests", auth=AUTH)


def content(number: int) -> bytes:
    """Return content that shows when parts of two numbers are mixed."""
    return number.to_bytes(8, "big") * SIZES[number % len(SIZES)]


def write_until_killed(url: str, report: int) -> None:
    """Do one operation after the other, and report each that has returned."""
    store = open_store(url, create=False)
    datasets, models = objects(store, "data/"), objects(store, "models/")
    for number in _numbers(datasets):
        datasets.put(content(number), "replaced")
        os.write(report, b"r")
        datasets.put([number], "appended", append=True)
        os.write(report, b"a")
        meta = models.put(complex(number), "model")
        os.write(report, b"m")
        meta.attributes["number"] = number
        meta.save()
        os.write(report, b"s")
        datasets.put(number, "dropped")
        datasets.drop("dropped")


def _numbers(datasets: ObjectStore) -> Iterator[int]:
    number = int.from_bytes(datasets.get("replaced")[:8], "big")
    while True:
        number += 1
        yield number


class Check:
    """What has been acknowledged so far, and whether the store has all of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._datasets, self._models = objects(store, "data/"), objects(store, "models/")
        self._replaced = self._appended = self._models_put = self._saved = 0

    def prepare(self) -> None:
        """Put the first objects."""
        self._datasets.put(content(0), "replaced")
        self._datasets.put([], "appended")
        self._models.put(complex(0), "model")

    def after(self, acknowledged: bytes) -> None:
        """Look at every object after a writer was killed that had acknowledged these operations."""
        value = self._datasets.get("replaced")
        number = int.from_bytes(value[:8], "big")
        assert value == content(number), f"mixed content at {number}"
        self._replaced = _between(number, self._replaced, acknowledged.count(b"r"), "replaced")
        rows = self._datasets.get("appended")
        assert len(set(rows)) == len(rows), f"rows came twice: {rows[-5:]}"
        assert rows == sorted(rows), f"rows changed places: {rows[-5:]}"
        self._appended = _between(len(rows), self._appended, acknowledged.count(b"a"), "appended")
        versions = self._models.revisions("model")
        self._models_put = _between(len(versions) - 1, self._models_put, acknowledged.count(b"m"), "versions")
        for back in range(min(3, len(versions))):
            self._models.get("model" + "^" * back)
        for meta in versions[1:3]:
            assert self._models.metadata("model").version >= meta.version
        if acknowledged.endswith(b"s"):
            assert versions[0].attributes["number"] == int(self._models.get("model").real) or len(versions) > 1
        self._models.prune("model", keep=4)
        self._models_put = min(self._models_put, 3)

    def sweep(self) -> None:
        """Sweep, and look for litter that is left."""
        sweep(self._store, lambda _task, _attempt, _any_end: None, grace=0)
        named = {ref.name for _key, value in self._store.scan(Space.OBJECTS, "") for ref in decode(value).blobs}
        assert {info.name for info in self._store.blobs()} == named
        assert all(name.startswith(PREFIX) for name in named)


def _between(found: int, before: int, acknowledged: int, what: str) -> int:
    low, high = before + acknowledged, before + acknowledged + 1
    assert low <= found <= high, f"{what}: {found}, and {low} to {high} are right"
    return found


def kill_one(url: str, moment: float) -> bytes:
    """Start a writer, kill it after so many seconds of its writing, and return what it has acknowledged."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, b".")
            write_until_killed(url, writing)
        except BaseException as exc:
            os.write(2, f"the writer failed: {exc!r}\n".encode())
            raise
        finally:
            os._exit(1)
    os.close(writing)
    try:
        assert os.read(reading, 1) == b"."
        select.select([], [], [], moment)
        os.kill(pid, signal.SIGKILL)
        acknowledged = b"".join(iter(lambda: os.read(reading, 4096), b""))
        status = os.waitpid(pid, 0)[1]
    finally:
        os.close(reading)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "the writer ended by itself"
    return acknowledged


def main(url: str, rounds: int, seed: int, pace: float) -> None:
    """Kill writers, look at the store after each, and print how many operations were done."""
    moments = random.Random(seed)
    store = open_store(url)
    check = Check(store)
    check.prepare()
    done = 0
    for number in range(rounds):
        acknowledged = kill_one(url, moments.random() * LONGEST / pace)
        done += len(acknowledged)
        check.after(acknowledged)
        if number % 20 == 19:
            check.sweep()
            check.after(b"")
    store.close()
    print(json.dumps({"kills": rounds, "operations": done}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
