"""Two stores of a test's own, of every two kinds that there are, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omruntime.abc import Store
from omruntime.store import ObjectStore, open_store
from tests.store.conftest import AUTH

PAIRS = [("sqlite", "sqlite")]


@pytest.fixture(params=PAIRS, ids="-".join)
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """URLs of the store to copy from, and of the one to copy into; neither exists yet."""
    return f"sqlite:///{tmp_path}/from", f"sqlite:///{tmp_path}/to"


@pytest.fixture
def source(urls: tuple[str, str]) -> Iterator[Store]:
    opened = open_store(urls[0])
    yield opened
    opened.close()


@pytest.fixture
def target(urls: tuple[str, str]) -> Iterator[Store]:
    opened = open_store(urls[1])
    yield opened
    opened.close()


Objects = Callable[..., ObjectStore]


def objects(store: Store, prefix: str = "data/", **options: object) -> ObjectStore:
    """Return the objects with a prefix in a store."""
    given: dict[str, object] = {"bucket": "tests", "auth": AUTH, **options}
    return ObjectStore(store, prefix, **given)  # type: ignore[arg-type]
