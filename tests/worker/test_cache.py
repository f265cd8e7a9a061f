"""The warm cache holds what fits, and never gives what is not current."""

from __future__ import annotations

from typing import Any

import pytest

from omruntime.store import ObjectStore
from omruntime.worker.cache import ModelCache
from tests.store.conftest import datasets, models, shelf, store

__all__ = ["datasets", "models", "shelf", "store"]


class Counted:
    """An object store that counts how often something is loaded from it."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects
        self.loads: list[str] = []

    def get(self, name: str) -> Any:
        self.loads.append(name)
        return self.objects.get(name)

    def size(self, name: str) -> int:
        return self.objects.size(name)


@pytest.fixture
def counted(models: ObjectStore) -> Counted:
    return Counted(models)


def model(value: object) -> dict[str, object]:
    return {"model": value}


def read(cache: ModelCache, counted: Counted, name: str) -> Any:
    found: Any = cache.get("store/bucket", name, counted.objects.peek(name).record, counted)  # type: ignore[arg-type]
    return found["model"]


def test_a_model_is_loaded_once_for_each_version(counted: Counted) -> None:
    cache = ModelCache()
    for version in ("one", "two"):
        counted.objects.put(model(version), "m")
        assert [read(cache, counted, "m") for _ in range(3)] == [version] * 3
    assert counted.loads == ["m", "m"]


def test_a_name_that_was_dropped_and_given_again_is_another_model(counted: Counted) -> None:
    cache = ModelCache()
    counted.objects.put(model("old"), "m")
    assert read(cache, counted, "m") == "old"
    counted.objects.drop("m")
    counted.objects.put(model("new"), "m")
    assert read(cache, counted, "m") == "new"


def test_what_a_name_of_an_older_version_means_moves_on(counted: Counted) -> None:
    cache = ModelCache()
    for number in range(1, 4):
        counted.objects.put(model(number), "m")
        if number > 1:
            assert (read(cache, counted, "m"), read(cache, counted, "m^")) == (number, number - 1)


def test_a_tag_that_is_given_to_another_version_is_followed(counted: Counted) -> None:
    cache = ModelCache()
    counted.objects.put(model(1), "m", tag="best")
    assert read(cache, counted, "m@best") == 1
    counted.objects.put(model(2), "m", tag="best")
    assert read(cache, counted, "m@best") == 2


def test_the_longest_unused_goes_first_when_the_limit_is_passed(counted: Counted) -> None:
    for name in "abc":
        counted.objects.put(model(name * 10_000), name)
    size = counted.objects.size("a")
    cache = ModelCache(limit=2 * size + size // 2)
    for name in "abacacb":
        read(cache, counted, name)
    assert counted.loads == ["a", "b", "c", "b"]
    assert cache._held <= 2 * size + size // 2


def test_what_is_larger_than_the_limit_is_not_kept_and_drives_nobody_out(counted: Counted) -> None:
    counted.objects.put(model("small"), "small")
    counted.objects.put(model("x" * 100_000), "large")
    cache = ModelCache(limit=counted.objects.size("small"))
    for name in ("small", "large", "small", "large"):
        read(cache, counted, name)
    assert counted.loads == ["small", "large", "large"]


def test_models_of_one_name_in_two_buckets_stay_apart(counted: Counted) -> None:
    cache = ModelCache()
    counted.objects.put(model(1), "m")
    record = counted.objects.peek("m").record
    read(cache, counted, "m")
    cache.get("store/another", "m", record, counted)  # type: ignore[arg-type]
    assert len(counted.loads) == 2
