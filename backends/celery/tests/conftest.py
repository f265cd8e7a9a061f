"""A home, a key and a lease of the tests' own; and a Redis, workers of both sorts, clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.world import Redis, Workers, starting

from omruntime import Omega
from tests.isolation import secluded, store_url
from tests.leaks import leaked, running

__all__ = ["secluded", "store_url"]


@pytest.fixture(autouse=True)
def _leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """The suite looks for what is left itself, and has a cluster for many rules."""
    if request.cls is not None:
        yield
        return
    before = running()
    yield
    if found := leaked(before):
        pytest.fail("the test left running: " + "; ".join(found))


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A Redis for all tests of a module."""
    with ExitStack() as stack:
        server = Redis()
        stack.callback(server.close)
        server.start()
        yield server


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    with starting(tmp_path) as start:
        yield start


@pytest.fixture
def om(redis: Redis, store_url: str) -> Iterator[Omega]:
    """A client of the module's Redis, with a store of its own."""
    with Omega(store_url, redis.url) as opened:
        yield opened
