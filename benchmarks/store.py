"""The store: large objects at the speed of the disk, projections, a ledger of a million records, the import."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.report import Figure, median_of, seconds
from omruntime import Omega
from omruntime.abc import Group, Space
from omruntime.ledger import Claim, End, Ledger, Request, new_id
from omruntime.ledger.facts import claim_key, encode, end_key

__all__ = ["store_figures"]


def store_figures(directory: Path, quick: bool) -> list[Figure]:
    """Return the figures of the store and of the import."""
    return [
        _import_time(quick),
        *_large_object(directory, 64 if quick else 1024),
        _projection(directory, quick),
        *_many_records(directory, 20_000 if quick else 1_000_000),
    ]


def _import_time(quick: bool) -> Figure:
    def run(code: str) -> float:
        return median_of(5 if quick else 15, lambda: subprocess.run([sys.executable, "-c", code], check=True))

    return Figure("import omruntime", "ms", (run("import omruntime") - run("pass")) * 1e3, goal=150)


def _native_put(array: Any, raw: Path) -> None:
    with raw.open("wb") as stream:
        stream.write(array.data)
        stream.flush()
        os.fsync(stream.fileno())


def _large_object(directory: Path, megabytes: int) -> list[Figure]:
    array = np.random.default_rng(1).random(megabytes * 1024 * 1024 // 8)
    raw = directory / "raw"
    with Omega(store=f"sqlite:///{directory / 'large'}") as om:
        native_in = seconds(lambda: _native_put(array, raw))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ours_in = seconds(lambda: om.datasets.put(array, "large"))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        native_out = seconds(lambda: np.fromfile(raw).sum())
        ours_out = seconds(lambda: om.datasets.get("large").sum())
    raw.unlink()
    return [
        Figure(f"put {megabytes} MB", "s", ours_in, native_in),
        Figure(f"get {megabytes} MB and read it", "s", ours_out, native_out),
        Figure(f"put {megabytes} MB: memory taken", "MB", grown, goal=64),
    ]


def _projection(directory: Path, quick: bool) -> Figure:
    rows = 20_000 if quick else 200_000
    frame = pd.DataFrame(np.random.default_rng(1).random((rows, 50)), columns=[f"c{n}" for n in range(50)])
    with Omega(store=f"sqlite:///{directory / 'wide'}") as om:
        om.datasets.put(frame, "wide")
        om.datasets.get("wide")
        part = median_of(5, lambda: om.datasets.get("wide[c3,c40]"))
        whole = median_of(5, lambda: om.datasets.get("wide"))
    return Figure("2 of 50 columns, beside all", "ms", part * 1e3, whole * 1e3, 0.3)


def _many_records(directory: Path, count: int) -> list[Figure]:
    with Omega(store=f"sqlite:///{directory / 'many'}") as om:
        ledger = Ledger(om.store)
        small = _ledger_costs(ledger)
        _fill(ledger, count)
        large = _ledger_costs(ledger)
    name = f"with {count:,} tasks recorded"
    return [
        Figure(f"submit {name}, beside none", "us", large[0] * 1e6, small[0] * 1e6, 1.5),
        Figure(f"look-up by id {name}, beside none", "us", large[1] * 1e6, small[1] * 1e6, 1.5),
    ]


def _request() -> Request:
    return Request(name="script.run noop", label="default", payload=[b"x" * 300], submitted=time.time())


def _ledger_costs(ledger: Ledger) -> tuple[float, float]:
    ids = [new_id() for _ in range(500)]
    remaining = iter(ids)
    submit = median_of(500, lambda: ledger.submit([(next(remaining), _request())]))
    remaining = iter(ids)
    look = median_of(500, lambda: ledger.state(next(remaining)))
    ledger.remove_requests(ids)
    return submit, look


def _fill(ledger: Ledger, count: int) -> None:
    claim = encode(Claim(host="h", nonce="n", worker="local@host-1", started=1.0))
    end = encode(End("SUCCESS", b"x" * 300, "script.run noop", "local@host-1", time.time(), 1.0, time.time()))
    for start in range(0, count, 5000):
        ids = [new_id() for _ in range(min(5000, count - start))]
        records = {claim_key(task, 1): claim for task in ids} | {end_key(task, 1): end for task in ids}
        ledger.store.commit([Group(Space.LEDGER, records)])
