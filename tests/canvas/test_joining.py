"""Members that end at the same time: one of them completes their node, and nobody looks at all of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from omruntime import Omega
from omruntime.abc import Space, Store
from omruntime.canvas import CanvasRecords
from omruntime.canvas.records import GROUP
from omruntime.ledger import Ledger


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Omega(store_url) as om:
        yield om.store


def join_all(records: CanvasRecords, members: Sequence[int], count: int, failed: set[int], again: bool) -> list[str]:
    answers = [
        records.join("canvas", 0, member, count, f"step-{member:06d}" if member in failed else "", again=again)
        for member in members
    ]
    return [answer for answer in answers if answer is not None]


@pytest.mark.parametrize("count", [1, 2, GROUP - 1, GROUP, GROUP + 1, 1000, GROUP * GROUP, GROUP * GROUP + 1])
def test_the_last_one_completes_the_node_whatever_the_order(store: Store, count: int) -> None:
    order = random.Random(count).sample(range(count), count)
    records = CanvasRecords(Ledger(store))
    *others, last = order
    assert join_all(records, others, count, set(), False) == []
    assert join_all(records, [last], count, set(), False) == [""]
    # Whoever does it again, after a crash, is told as well: it may not have gone on.
    assert join_all(records, order[:3], count, set(), True) == [""] * min(3, count)


@pytest.mark.parametrize("count", [5, 100, 1100])
def test_the_first_failure_in_the_order_written_is_told(store: Store, count: int) -> None:
    shuffle = random.Random(count)
    failed = set(shuffle.sample(range(count), 3))
    order = shuffle.sample(range(count), count)
    answers = join_all(CanvasRecords(Ledger(store)), order, count, failed, False)
    assert answers == [f"step-{min(failed):06d}"]


def test_threads_that_join_at_once_complete_it_once_or_say_so_to_all_of_them(store: Store) -> None:
    records = CanvasRecords(Ledger(store))
    with ThreadPoolExecutor(8) as pool:
        parts = [pool.submit(join_all, records, range(part, 300, 8), 300, set(), False) for part in range(8)]
        answers = [answer for part in parts for answer in part.result()]
    assert answers == [""]


def test_nobody_looks_at_more_than_one_group_on_each_level(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    get = store.get

    def counting(space: Space, keys: Sequence[str]) -> dict[str, bytes]:
        looked.append(len(keys))
        return get(space, keys)

    monkeypatch.setattr(store, "get", counting)
    count = GROUP * GROUP
    join_all(CanvasRecords(Ledger(store)), range(count), count, set(), False)
    assert max(looked) == GROUP
    assert len(looked) <= count + count // GROUP
