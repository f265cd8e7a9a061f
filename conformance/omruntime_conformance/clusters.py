"""Clusters of one test class: started once for each set of workers, or for one rule alone."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path

from omruntime import Auth, Omega, OmegaRuntime
from omruntime.abc import Capability
from omruntime.plugins import load_backend_class, scheme_of
from omruntime_conformance.harness import Cluster, Harness, NotExercised
from omruntime_conformance.registry import Rule

__all__ = ["Broken", "Clusters", "has_address", "key_of", "open_private"]

HEALTH_SECONDS = 15.0
"""How long a cluster on which a rule has failed may take to answer, before the harness's patience."""


class Broken(Exception):
    """A cluster with these workers could not be had before; the message says what happened."""


def has_address(cluster: Cluster) -> bool:
    """Tell whether this is the URL of a cluster that everybody can connect to."""
    return isinstance(cluster, str) and bool(cluster.partition("://")[2])


def key_of(workers: Mapping[str, int]) -> str:
    """Name a set of workers, like ``default x 2, gpu x 1``."""
    return ", ".join(f"{label} x {slots}" for label, slots in sorted(workers.items()))


def open_private(url: str, workers: Mapping[str, int], env: Mapping[str, str], auth: Auth) -> OmegaRuntime:
    """Open a private cluster of the engine that the URL's scheme names."""
    engine = load_backend_class(scheme_of(url))
    kind = type("OmegaRuntimeUnderTest", (OmegaRuntime,), {"backend": engine})
    opened: OmegaRuntime = kind(url, workers=dict(workers), env=dict(env), auth=auth)
    return opened


class Clusters:
    """The clusters that a harness has started for the rules of one class."""

    def __init__(self, harness: Harness, auth: Auth, env: Mapping[str, str]) -> None:
        self.harness = harness
        self.auth = auth
        self.env = dict(env)
        self.failed: set[str] = set()
        """Ids of the rules that failed and were not known to."""
        self.broken: dict[str, str] = {}
        """Sets of workers that cannot be had, with the reason."""
        self.declared: list[frozenset[Capability]] = []
        """What each engine that a rule ran on declares."""
        self.again: Callable[[Rule, str], str] = lambda rule, test_id: f"pytest '{test_id}'"
        """Gives the line that runs a rule alone, which as a test has this id."""
        self.on_opening: Callable[[str], None] = lambda key: None
        """Called with the set of workers before it is started, and with '' afterwards."""
        self._shared: dict[str, tuple[Cluster, ExitStack]] = {}

    @contextmanager
    def of(self, rule: Rule) -> Iterator[Cluster]:
        """Give the cluster to run a rule on.

        Raises:
            Broken: one with these workers could not be had before.
        """
        key = key_of(rule.workers)
        if key in self.broken:
            raise Broken(self.broken[key])
        if rule.own_cluster and not self.harness.existing:
            with ExitStack() as stack:
                yield self._open(rule.workers, stack)
            return
        if key not in self._shared:
            with ExitStack() as stack:
                self._shared[key] = self._open(rule.workers, stack), stack.pop_all()
        yield self._shared[key][0]

    def _open(self, workers: Mapping[str, int], stack: ExitStack) -> Cluster:
        key = key_of(workers)
        self.on_opening(key)
        try:
            cluster = self._start(workers, stack)
        except NotExercised:
            raise
        except BaseException as exc:
            self.broken[key] = f"no cluster with {key}: {type(exc).__name__}: {exc}"
            exc.add_note(f"cluster  with {key} could not be started")
            raise
        self.on_opening("")
        return cluster

    def _start(self, workers: Mapping[str, int], stack: ExitStack) -> Cluster:
        cluster = stack.enter_context(self.harness.cluster(dict(workers), dict(self.env)))
        if not isinstance(cluster, str | OmegaRuntime):
            raise TypeError(
                f"{type(self.harness).__name__}.cluster() gave {cluster!r}: it has to yield the URL of the engine "
                "that it has started, or an open runtime"
            )
        if has_address(cluster):
            return cluster
        if isinstance(cluster, str):
            cluster = open_private(cluster, workers, self.env, self.auth)
        # An open Omega that has the runtime keeps it open when the Omega of a rule is closed.
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="omruntime-"))
        stores = stack.enter_context(self.harness.storage(Path(place)))
        keeper = Omega(stores.url("keeper"), cluster, auth=self.auth)
        # What a rule that failed has left open may never end.
        stack.callback(keeper.close, wait=False)
        return cluster

    def check(self, rule: Rule) -> str:
        """Look whether the cluster that a rule has failed on still answers, and let go of it where it does not.

        Returns:
            A line that says so; empty where there is nothing to say.
        """
        key = key_of(rule.workers)
        if key not in self._shared:
            return ""
        cluster, stack = self._shared[key]
        try:
            self._within_limit(lambda: self._ping(cluster, next(iter(rule.workers))))
        except Exception as exc:  # noqa: BLE001
            problem = f"{type(exc).__name__}: {exc}"
        else:
            return ""
        del self._shared[key]
        if self.harness.existing:
            self.broken[key] = f"the cluster has not answered since {rule.id}: {problem}"
            return self.broken[key]
        try:
            self._within_limit(stack.close)
        except Exception as exc:  # noqa: BLE001
            problem += f"; it could not be stopped: {type(exc).__name__}: {exc}"
        return f"the cluster did not survive this rule ({problem}); the rules after it get a new one"

    def _ping(self, cluster: Cluster, label: str) -> None:
        runtime = OmegaRuntime.from_url(cluster, auth=self.auth) if isinstance(cluster, str) else cluster
        with (
            tempfile.TemporaryDirectory(prefix="omruntime-", ignore_cleanup_errors=True) as place,
            self.harness.storage(Path(place)) as stores,
            Omega(stores.url("asking"), runtime, auth=self.auth) as om,
        ):
            om.runtime.require(label).ping(timeout=HEALTH_SECONDS * self.harness.patience)

    def _within_limit(self, act: Callable[[], object]) -> None:
        """Do what may hang.

        Raises:
            TimeoutError: it takes too long; its thread is left behind.
        """
        ended: Future[None] = Future()

        def run() -> None:
            try:
                act()
            except Exception as exc:  # noqa: BLE001
                ended.set_exception(exc)
            else:
                ended.set_result(None)

        threading.Thread(target=run, name="conformance-health", daemon=True).start()
        ended.result(timeout=2 * HEALTH_SECONDS * self.harness.patience)

    def close(self) -> None:
        """Stop the clusters that rules have shared."""
        while self._shared:
            _, (_, stack) = self._shared.popitem()
            stack.close()
