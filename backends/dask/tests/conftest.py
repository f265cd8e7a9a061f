"""A home of the tests' own; and a scheduler, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import AUTH, World, echo

from omruntime import Omega
from tests.isolation import secluded, store_url

__all__ = ["secluded", "store_url"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running scheduler."""
    made = World(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def om(world: World, store_url: str) -> Iterator[Omega]:
    """A client of the cluster, which has no workers yet."""
    with Omega(store_url, world.url, auth=AUTH) as made:
        made.scripts.put(echo, "echo")
        yield made
