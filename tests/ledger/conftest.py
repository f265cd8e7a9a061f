"""The ledger on the real store and on the simplest one that keeps the interface's word."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from omruntime.abc import Store
from omruntime.ledger import Ledger
from omruntime.store import open_store
from tests.ledger.stepped import DictStore


@pytest.fixture(params=["sqlite", "dict"])
def store(request: pytest.FixtureRequest, store_url: str) -> Iterator[Store]:
    opened: Store = open_store(store_url) if request.param == "sqlite" else DictStore()
    yield opened
    opened.close()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)
