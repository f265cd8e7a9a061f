"""What a call requires: merged, checked at the call, and never shared by accident."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omruntime import Omega, OmegaRuntimeLocal
from omruntime.client.requirements import Requirements, normal_label
from omruntime.errors import NoSuchLabel

ANY = st.builds(
    Requirements,
    label=st.none() | st.sampled_from(["gpu", "big"]),
    retries=st.none() | st.integers(0, 3),
    retry_delay=st.none() | st.floats(0, 9),
    timeout=st.none() | st.floats(0, 9),
    on_missing=st.sampled_from([None, "wait", "error"]),
)


@given(ANY, ANY, ANY)
def test_the_nearer_requirement_wins_and_the_order_of_merging_does_not_matter(
    near: Requirements, mid: Requirements, far: Requirements
) -> None:
    merged = near.over(mid).over(far)
    assert merged == near.over(mid.over(far))
    for name in ("label", "retries", "retry_delay", "timeout", "on_missing"):
        said = [getattr(each, name) for each in (near, mid, far) if getattr(each, name) is not None]
        assert getattr(merged, name) == (said[0] if said else None)


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1), st.sampled_from([",", " , ", ",,"]))
def test_a_label_has_one_spelling(parts: list[str], separator: str) -> None:
    assert normal_label(separator.join(parts)) == ",".join(sorted(set(parts)))


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"label": ""}, ValueError, "names no label"),
    ({"label": " , "}, ValueError, "names no label"),
    ({"label": 5}, TypeError, "label=5"),
    ({"retries": -1}, ValueError, "retries=-1"),
    ({"retries": 1.5}, TypeError, "retries=1.5"),
    ({"retries": "3"}, TypeError, "retries='3'"),
    ({"timeout": -1}, ValueError, "timeout=-1"),
    ({"timeout": float("nan")}, ValueError, "timeout=nan"),
    ({"timeout": "5"}, TypeError, "timeout='5'"),
    ({"retry_delay": -0.1}, ValueError, "retry_delay=-0.1"),
    ({"retry_delay": "1"}, TypeError, "retry_delay='1'"),
    ({"on_missing": "ignore"}, ValueError, "on_missing='ignore'"),
]


@pytest.mark.parametrize(("given_", "error", "said"), BAD)
def test_what_cannot_be_required_is_refused_at_once(
    store_url: str, given_: dict[str, Any], error: type[Exception], said: str
) -> None:
    with Omega(store_url) as om, pytest.raises(error, match=said):
        om.runtime.require(**given_)


def test_numbers_of_other_libraries_are_numbers(store_url: str) -> None:
    import numpy as np

    with Omega(store_url) as om:
        given_: dict[str, Any] = {"retries": np.int64(2), "timeout": np.float32(1.5), "retry_delay": 1}
        merged = om.runtime.require(**given_).requirements
        assert (merged.retries, merged.timeout, merged.retry_delay) == (2, 1.5, 1.0)
        assert [type(each) for each in (merged.retries, merged.timeout, merged.retry_delay)] == [int, float, float]


def test_require_changes_the_derived_runtime_alone_unless_always(store_url: str) -> None:
    with Omega(store_url) as om:
        derived = om.runtime.require("gpu", retries=1).require(retries=2)
        assert (derived.requirements.label, derived.requirements.retries) == ("gpu", 2)
        assert om.runtime.requirements == Requirements()
        om.runtime.require("big", always=True)
        assert om.runtime.requirements.label == "big"
        assert om.runtime.require("gpu").requirements.label == "gpu"
        assert derived.requirements.label == "gpu"


def test_threads_never_see_each_others_requirements(store_url: str) -> None:
    with Omega(store_url) as om, ThreadPoolExecutor(4) as pool:
        labels = list(pool.map(lambda number: om.runtime.require(f"l{number}").requirements.label, range(100)))
        assert labels == [f"l{number}" for number in range(100)]
        assert om.runtime.requirements.label is None


def test_on_missing_error_names_the_labels_there_are(om: Omega) -> None:
    before = len(list(om.session.ledger.open_tasks()))
    with pytest.raises(NoSuchLabel, match="'gpu'; there are: default"):
        om.runtime.require("gpu", on_missing="error").script("echo").run(1)
    assert len(list(om.session.ledger.open_tasks())) == before


@pytest.mark.parametrize(
    ("workers", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        ({}, ValueError),
        ({"gpu": 0}, ValueError),
        ({"": 1}, ValueError),
        (2.5, TypeError),
        ("gpu", TypeError),
        ({"gpu": "2"}, TypeError),
        ({"gpu": 1.5}, TypeError),
        (True, TypeError),
    ],
)
def test_workers_are_whole_numbers_of_slots(workers: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"workers="):
        OmegaRuntimeLocal(workers=workers)
