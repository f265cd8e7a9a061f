from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from backends.dask.tests.world import AUTH, World, echo

from omruntime import Omega


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
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store"


@pytest.fixture
def om(world: World, store: str) -> Iterator[Omega]:
    """A client of the cluster, which has no workers yet."""
    with Omega(store, world.url, auth=AUTH) as made:
        made.scripts.put(echo, "echo")
        yield made
