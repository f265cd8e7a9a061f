"""An Omega with one worker of its own, and hosts that are closed whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omruntime import Omega, OmegaRuntimeLocal
from tests.worker.gates import Gate, echo, fails, held, reads, shell


def deploy(om: Omega) -> Omega:
    for script in (echo, held, fails, reads, shell):
        om.scripts.put(script, script.__name__)
    return om


@pytest.fixture
def om(store_url: str) -> Iterator[Omega]:
    """One worker, which nothing else uses."""
    made = deploy(Omega(store_url, OmegaRuntimeLocal(workers=1)))
    yield made
    made.close(wait=False)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, secluded: None) -> Iterator[Omega]:
    """Two workers for all tests of a module that leave them as they were."""
    made = deploy(Omega(f"sqlite:///{tmp_path_factory.mktemp('shared')}/store", OmegaRuntimeLocal(workers=2)))
    assert made.runtime.workers()
    yield made
    made.close(wait=False)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)
