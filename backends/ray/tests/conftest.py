"""A home of the tests' own; and a Ray, with a namespace of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from omruntime_ray.testing import RayServer
from tests.ray_world import AUTH, client, eventually, running

from omruntime import Omega
from tests.isolation import secluded, store_url

__all__ = ["secluded", "store_url"]


@pytest.fixture(scope="session", autouse=True)
def _without_tokens(secluded: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("OMRUNTIME_KEY", AUTH.secret())
        patch.setenv("OMRUNTIME_LEASE", "2")
        yield


@pytest.fixture(scope="module")
def server(_without_tokens: None) -> Iterator[RayServer]:
    """A running Ray, which drivers and Ray clients may join."""
    with running({}) as made:
        # That server begins after the head.
        eventually(made.takes_clients, "the server for Ray's clients")
        yield made


@pytest.fixture
def url(server: RayServer) -> str:
    """Address of a namespace that nobody has used."""
    return f"{server.url}/{uuid.uuid4().hex}"


@pytest.fixture
def om(url: str, store_url: str) -> Iterator[Omega]:
    """A client of the cluster, which has no workers yet."""
    with client(store_url, url) as made:
        yield made
