"""What pytest loads of the suite: the clusters of a class, and asserts of rules that explain themselves."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from omruntime import Auth
from omruntime_conformance.clusters import Clusters

__all__ = ["conformance_clusters"]

LEASE_SECONDS = "2"

pytest.register_assert_rewrite("omruntime_conformance.rules")


@pytest.fixture(scope="class")
def conformance_clusters(request: pytest.FixtureRequest) -> Iterator[Clusters]:
    """The clusters of one class of rules, with a key and a short lease of their own."""
    harness = request.cls.harness()
    key = secrets.token_urlsafe(24)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("OMRUNTIME_KEY", "OMRUNTIME_STORE", "OMRUNTIME_RUNTIME"):
            patch.delenv(variable, raising=False)
        patch.setenv("OMRUNTIME_LEASE", LEASE_SECONDS)
        env = {"OMRUNTIME_KEY": key, "OMRUNTIME_LEASE": LEASE_SECONDS}
        clusters = Clusters(harness, Auth("conformance", key), env)
        try:
            yield clusters
        finally:
            clusters.close()
