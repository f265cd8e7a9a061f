"""Clusters of one test class: started once for each set of workers, or for one rule alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from omruntime import Auth, Omega
from omruntime_conformance.harness import Cluster, Harness
from omruntime_conformance.registry import Rule

__all__ = ["Clusters"]


class Clusters:
    """The clusters that a harness has started for the rules of one class."""

    def __init__(self, harness: Harness, auth: Auth, env: Mapping[str, str]) -> None:
        self.harness = harness
        self.auth = auth
        self.env = dict(env)
        self.failed: set[str] = set()
        """Ids of the rules that failed and were not known to."""
        self._shared: dict[frozenset[tuple[str, int]], Cluster] = {}
        self._stack = ExitStack()

    @contextmanager
    def of(self, rule: Rule) -> Iterator[Cluster]:
        """Give the cluster to run a rule on."""
        if rule.own_cluster:
            with self._start(rule.workers) as cluster:
                yield cluster
            return
        key = frozenset(rule.workers.items())
        if key not in self._shared:
            self._shared[key] = self._stack.enter_context(self._start(rule.workers))
        yield self._shared[key]

    @contextmanager
    def _start(self, workers: Mapping[str, int]) -> Iterator[Cluster]:
        with self.harness.cluster(dict(workers), dict(self.env)) as cluster:
            if isinstance(cluster, str):
                yield cluster
                return
            # An open Omega that has the runtime keeps it open when the Omega of a rule is closed.
            with (
                tempfile.TemporaryDirectory(prefix="omruntime-") as place,
                Omega(f"sqlite:///{Path(place)}/keeper", cluster, auth=self.auth),
            ):
                yield cluster

    def close(self) -> None:
        """Stop the clusters that rules have shared."""
        self._stack.close()
