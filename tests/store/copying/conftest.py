"""Two stores of a test's own, of every two kinds that there are, and what is in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from omruntime.abc import Store
from omruntime.store import ObjectStore, open_store
from tests.store.conftest import AUTH
from tests.stores import STORES, Server

PAIRS = list(itertools.product(STORES, STORES))
# What goes from one server database into another goes the ways of the two other pairs, and is the slowest.
MOST = [pair for pair in PAIRS if "sqlite" in pair]
INTO = [pair for pair in PAIRS if pair[0] == "sqlite"]
"""Each store as the target, for what is nothing but inserts and looks."""


@pytest.fixture(params=MOST, ids="-".join)
def urls(request: pytest.FixtureRequest, tmp_path: Path, mongodb: Server) -> Iterator[tuple[str, str]]:
    """URLs of the store to copy from, and of the one to copy into; neither exists yet."""
    with ExitStack() as stack:
        source, target = (stack.enter_context(STORES[kind](tmp_path, mongodb)) for kind in request.param)
        yield source("from"), target("to")


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


def objects(store: Store, prefix: str = "data/", **options: object) -> ObjectStore:
    """Return the objects with a prefix in a store."""
    given: dict[str, object] = {"bucket": "tests", "auth": AUTH, **options}
    return ObjectStore(store, prefix, **given)  # type: ignore[arg-type]
