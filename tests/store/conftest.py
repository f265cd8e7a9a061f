"""A store of a test's own, of each kind there is, and the stores of objects in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from omruntime_conformance import NotExercised

from omruntime.abc import Store
from omruntime.auth import Auth
from omruntime.store import ObjectStore, open_store
from tests.stores import PACE, STORES, MakeUrl, Server, real_mongodb

AUTH = Auth("tester", "a key for tests that protects nothing")
Shelves: TypeAlias = Callable[..., ObjectStore]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on the real server."""
    here = Path(__file__).parent
    for item in items:
        call = getattr(item, "callspec", None)
        given = call is not None and "mongodb" in call.id.split("-") and here in item.path.parents
        if given or here / "mongo" in item.path.parents:
            item.add_marker(pytest.mark.mongodb)


@pytest.fixture(scope="session", autouse=True)
def mongodb(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Give the server before any test begins, which so is none of what a test has left running."""
    if not any(item.get_closest_marker("mongodb") for item in request.session.items):
        yield NotExercised("no test that was chosen needs it")
        return
    with real_mongodb() as server:
        yield server


@pytest.fixture(params=list(STORES))
def kind(request: pytest.FixtureRequest) -> str:
    """Name of the kind of store."""
    return str(request.param)


@pytest.fixture
def make_url(kind: str, tmp_path: Path, mongodb: Server) -> Iterator[MakeUrl]:
    with STORES[kind](tmp_path, mongodb) as make:
        yield make


@pytest.fixture
def pace(kind: str) -> float:
    return PACE.get(kind, 1.0)


@pytest.fixture
def store_url(make_url: MakeUrl) -> str:
    return make_url("store")


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
