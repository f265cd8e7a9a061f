"""A store of a test's own, and the stores of objects in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from omruntime.abc import Store
from omruntime.auth import Auth
from omruntime.store import ObjectStore, open_store

AUTH = Auth("tester", "a key for tests that protects nothing")
Shelves: TypeAlias = Callable[..., ObjectStore]


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def shelf(store: Store) -> Shelves:
    """Make the store of objects with a prefix."""

    def make(prefix: str, **options: object) -> ObjectStore:
        given: dict[str, object] = {"bucket": "tests", "auth": AUTH, **options}
        return ObjectStore(store, prefix, **given)  # type: ignore[arg-type]

    return make


@pytest.fixture
def datasets(shelf: Shelves) -> ObjectStore:
    return shelf("data/")


@pytest.fixture
def models(shelf: Shelves) -> ObjectStore:
    return shelf("models/")


@pytest.fixture
def scripts(shelf: Shelves) -> ObjectStore:
    return shelf("scripts/")


@pytest.fixture
def jobs(shelf: Shelves) -> ObjectStore:
    return shelf("jobs/")
