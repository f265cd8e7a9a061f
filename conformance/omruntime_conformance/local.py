"""The harness of the embedded engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from omruntime_conformance.harness import Harness

__all__ = ["LocalHarness"]


class LocalHarness(Harness):
    """The engine without an address: every runtime that is opened by its URL has workers of its own."""

    backend = "local"

    @contextmanager
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[str]:
        """Give the URL; whoever opens it says how many workers there shall be."""
        yield "local://"
