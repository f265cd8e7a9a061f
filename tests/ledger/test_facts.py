"""Ids and keys: unique, ordered by time, and read back as they were written."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from omruntime.ledger import Claim, End, Request, facts, new_id
from omruntime.ledger.copying import COPIED, LEFT
from omruntime.ledger.facts import Lease, decode, encode, lease_key, lease_prefix

TEXT = st.text(max_size=20)
TIME = st.floats(allow_nan=False)


def test_ids_are_version_7_uuids_of_the_standard_library() -> None:
    made = uuid.UUID(new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_ids_are_unique_across_threads_and_ordered_by_time_within_each() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: [new_id() for _ in range(2_000)], range(4)))
    assert len({each for ids in made for each in ids}) == 8_000
    for ids in made:
        stamps = [each[:13] for each in ids]
        assert stamps == sorted(stamps)


def test_no_id_is_taken_apart_by_the_keys_that_hold_it() -> None:
    assert ":" not in new_id()


@given(st.lists(st.integers(1, 1 << 47), min_size=2, max_size=20))
def test_lease_keys_sort_as_their_numbers_do(numbers: list[int]) -> None:
    assert [lease_key("h", number) for number in sorted(numbers)] == sorted(lease_key("h", each) for each in numbers)


def test_no_host_sees_the_leases_of_one_whose_id_begins_with_its_own() -> None:
    assert not lease_key("h-12", 1).startswith(lease_prefix("h-1"))


@given(
    st.builds(Claim, host=TEXT, nonce=TEXT, worker=TEXT, started=TIME)
    | st.builds(Lease, period=TIME, machine=TEXT, pid=st.integers(0, 1 << 31), born=TEXT)
    | st.builds(
        Request,
        name=TEXT,
        label=TEXT,
        payload=st.lists(st.binary()),
        submitted=TIME,
        engine=TEXT,
        runtime=TEXT,
        incarnation=TEXT,
        retries=st.none() | st.integers(0, 9),
    )
    | st.builds(
        End,
        state=TEXT,
        outcome=st.binary(),
        name=TEXT,
        worker=TEXT,
        submitted=TIME,
        started=TIME,
        ended=TIME,
        logs=TEXT,
        blobs=st.lists(TEXT),
    )
)
def test_a_fact_is_read_as_it_was_written(fact: Request | Claim | End | Lease) -> None:
    assert decode(type(fact), encode(fact)) == fact  # type: ignore[type-var]


def test_two_equal_ends_can_be_told_apart() -> None:
    said = {"outcome": b"", "name": "", "worker": "", "submitted": 0.0, "started": 0.0, "ended": 0.0}
    assert encode(End("SUCCESS", **said)) != encode(End("SUCCESS", **said))  # type: ignore[arg-type]


def test_it_is_decided_of_every_kind_of_fact_whether_a_copy_has_it() -> None:
    named = {getattr(facts, name)(*_arguments(name)).partition(":")[0] for name in facts.__all__ if "_key" in name}
    assert named == COPIED | LEFT
    assert not COPIED & LEFT


def _arguments(name: str) -> tuple[object, ...]:
    counts = {"canvas_key": 0, "request_key": 0, "sent_key": 2, "mark_key": 3}
    return ("t", *[1] * counts.get(name, 1))
