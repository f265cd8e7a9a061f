"""Many processes at once, and writers that are killed: nothing is lost, nothing is broken."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys

import pandas as pd
import pytest

from omruntime.abc import Store
from omruntime.errors import MetadataConflict
from omruntime.store import ObjectStore, open_store
from tests.house.tree import ROOT
from tests.store.conftest import AUTH
from tests.stores import MakeUrl

KILLS = 240


@pytest.mark.timeout(300)
def test_a_writer_killed_at_any_moment_leaves_the_old_object_or_the_new_one(make_url: MakeUrl, pace: float) -> None:
    kills = int(KILLS * pace) // 2
    for seed in (1, 2):
        run = subprocess.run(
            [sys.executable, "-m", "tests.store.killed", make_url(f"store{seed}"), str(kills), str(seed), str(pace)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        report = json.loads(run.stdout)
        assert report["kills"] == kills
        assert report["operations"] > 0


def _objects(store: Store, prefix: str) -> ObjectStore:
    return ObjectStore(store, prefix, bucket="tests", auth=AUTH)


def _work(url: str, who: int, count: int) -> tuple[int, int]:
    """Append rows, put versions, count up in attributes, drop; return how many saves and drops have won."""
    store = open_store(url, create=False)
    datasets, models = _objects(store, "data/"), _objects(store, "models/")
    saved = dropped = 0
    for number in range(count):
        datasets.put(pd.DataFrame({"who": [who], "number": [number]}), "rows", append=True)
        datasets.put([(who << 16) + number], "list", append=True)
        models.put(complex(who, number), "model")
        saved += _count_up(datasets)
        dropped += datasets.drop(f"drop{number}", force=True)
    store.close()
    return saved, dropped


def _count_up(datasets: ObjectStore) -> int:
    while True:
        meta = datasets.metadata("counter")
        meta.attributes["n"] += 1
        try:
            meta.save()
        except MetadataConflict:
            continue
        return 1


@pytest.mark.thorough
def test_processes_at_once_lose_no_rows_no_versions_and_no_attributes(
    store_url: str, store: Store, pace: float
) -> None:
    processes, count = 4, int(40 * pace)
    datasets, models = _objects(store, "data/"), _objects(store, "models/")
    datasets.put(0, "counter", attributes={"n": 0})
    for number in range(count):
        datasets.put(number, f"drop{number}")
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        results = pool.starmap(_work, [(store_url, who, count) for who in range(processes)])
        pool.close()
        pool.join()
    rows = datasets.get("rows")
    assert len(rows) == processes * count
    assert not rows.duplicated().any()
    for who in range(processes):
        assert list(rows[rows["who"] == who]["number"]) == list(range(count))
    assert sorted(datasets.get("list")) == sorted((who << 16) + n for who in range(processes) for n in range(count))
    assert len(models.revisions("model")) == processes * count
    assert datasets.metadata("counter").attributes["n"] == sum(saved for saved, _ in results) == processes * count
    assert sum(dropped for _, dropped in results) == count
