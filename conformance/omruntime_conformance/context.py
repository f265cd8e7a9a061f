"""What a rule is given: an Omega, the suite's log and gates, other clients, and faults."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from omruntime import AsyncResult, Auth, Omega, OmegaRuntime, OmegaScriptProxy
from omruntime.abc import Capability
from omruntime.errors import UnsupportedCapability
from omruntime.plugins import load_backend_class
from omruntime.testing import capture_calls
from omruntime_conformance.clients import Client, start_client
from omruntime_conformance.faults import Processes, locked
from omruntime_conformance.harness import Cluster, Harness
from omruntime_conformance.oracle import Entry, Gate, Log, Waiter
from omruntime_conformance.registry import Rule

__all__ = ["Context", "NotExercised"]

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")


class NotExercised(Exception):
    """This rule cannot be tried here; the message says why."""


class Context:
    """The world of one rule: a fresh store, the runtime of its cluster, and what judges them.

    Args:
        rule: the rule to run.
        harness: the author's harness.
        cluster: what the harness has started.
        auth: the key of the class.
        env: environment of workers and clients.
        place: an empty directory that workers see.
    """

    def __init__(
        self, rule: Rule, harness: Harness, cluster: Cluster, auth: Auth, env: Mapping[str, str], place: Path
    ) -> None:
        self.rule = rule
        self.harness = harness
        self.auth = auth
        self.place = place
        self.wait = Waiter(harness.patience)
        self.log = Log(place / "log", self.wait)
        self._processes = Processes(self.log)
        self._cluster = cluster
        self._env = dict(env)
        self._gates: list[Gate] = []
        self._clients: list[Client] = []
        self._stack = ExitStack()
        self.om = self.omega(self.runtime())

    # -- Omega and its tasks

    @property
    def store_url(self) -> str:
        """URL of the rule's own store."""
        return f"sqlite:///{self.place}/store"

    @property
    def private_url(self) -> str:
        """URL that asks for a private cluster of this engine."""
        return f"{self.harness.backend}://"

    @property
    def client_url(self) -> str:
        """URL of the runtime for other client processes."""
        return self._cluster if isinstance(self._cluster, str) else self.private_url

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the opened engine declares."""
        return frozenset(self.om.runtime.backend.capabilities)

    def runtime(self) -> OmegaRuntime:
        """Open a runtime of the cluster; a private one where the cluster's URL has no address."""
        if not isinstance(self._cluster, str):
            return self._cluster
        if self._cluster.partition("://")[2]:
            return OmegaRuntime.from_url(self._cluster, auth=self.auth)
        return self.private_runtime(self._cluster)

    def private_runtime(self, url: str = "", workers: Mapping[str, int] | None = None) -> OmegaRuntime:
        """Open a private cluster of the engine with the rule's workers, or with these."""
        chosen = dict(workers or self.rule.workers)
        url = url or self.private_url
        engine = load_backend_class(url.partition("://")[0].partition("+")[0])
        kind = type("OmegaRuntimeUnderTest", (OmegaRuntime,), {"backend": engine})
        opened: OmegaRuntime = kind(url, workers=chosen, env=self._env, auth=self.auth)
        return opened

    def omega(self, runtime: OmegaRuntime | str | None = None, *, auth: Auth | None = None, store: str = "") -> Omega:
        """Open one more Omega, on the rule's store where no other is named; it is closed at the end of the rule."""
        om = Omega(store or self.store_url, runtime, auth=auth or self.auth)
        self._stack.callback(om.close, wait=False)
        return om

    def deploy(self, script: object, name: str = "") -> OmegaScriptProxy:
        """Store a script and return what runs it."""
        name = name or str(getattr(script, "__name__", "script"))
        self.om.scripts.put(script, name)
        return self.om.runtime.script(name)

    def package(
        self, name: str, files: Mapping[str, str], *, version: str = "1.0", beside: Mapping[str, str] | None = None
    ) -> str:
        """Write the source of a script package and return what ``om.scripts.put`` takes.

        Args:
            name: name of the package and of its top module.
            files: path below the top module to content, like ``{'__init__.py': ...}``.
            version: version of the package.
            beside: more files, by their path beside the top module.
        """
        root = self.place / "packages" / f"{name}-{version}"
        paths = {f"{name}/{path}": content for path, content in files.items()} | dict(beside or {})
        for path, content in paths.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(content))
        (root / "setup.py").write_text(
            f"from setuptools import setup, find_packages\n"
            f"setup(name={name!r}, version={version!r}, packages=find_packages(), "
            f"package_data={{'': ['*.txt', '*.json']}})\n"
        )
        return f"pkg://{root}"

    def get(self, result: AsyncResult) -> Any:
        """Return the value of a task, waiting for it no longer than the suite's deadline."""
        return result.get(timeout=self.wait.seconds)

    def value(self, result: AsyncResult) -> Any:
        """Return what a script returned, taken from its envelope."""
        return self.get(result)["result"]

    def fails(self, result: AsyncResult, kind: type[E]) -> E:
        """Return the error of a task that must fail with one of this type."""
        with pytest.raises(kind) as caught:
            self.get(result)
        return caught.value

    def begun(self, result: AsyncResult, name: str, count: int) -> list[Entry]:
        """Wait until a task, or one of a canvas, was started ``count`` times; fail where it is over before."""
        what = f"start {count} of {name!r}"
        self.wait(lambda: len(self.log.starts(name)) >= count or result.ready(), what)
        found = self.log.starts(name)
        assert len(found) >= count, f"waited for {what}, but {result.id} is {result.status}"
        return found

    # -- log, gates, faults

    def gate(self, name: str = "gate") -> Gate:
        """Make a gate; it is opened at the end of the rule in any case."""
        gate = Gate(self.place / "gates" / name)
        self._gates.append(gate)
        return gate

    def kill(self, pid: int) -> None:
        """Kill the process of a task that the log names."""
        self._processes.kill(pid)

    def stop(self, pid: int) -> None:
        """Stop the process of a task that the log names, until `wake`."""
        self._processes.stop(pid)
        self._stack.callback(self._processes.wake, pid)

    def wake(self, pid: int) -> bool:
        """Let a stopped process go on; False when it was ended in the meantime."""
        return self._processes.wake(pid)

    def alive(self, pid: int) -> bool:
        """Tell whether the process of a task that the log names is still there."""
        return self._processes.alive(pid)

    def child_runs(self, pid: int) -> bool:
        """Tell whether a process that a task has noted as its child runs still."""
        return self._processes.child_runs(pid)

    def locked_store(self) -> AbstractContextManager[None]:
        """Return what keeps everybody from writing to the rule's store."""
        return locked(self.place / "store")

    @contextmanager
    def nothing_is_submitted(self) -> Iterator[None]:
        """Fail when anything reaches the engine, or runs, within the block."""
        before = len(self.log.entries())
        with capture_calls(self.om.runtime, deliver=False) as calls:
            yield
        assert not calls, f"submitted all the same: {[call.name for call in calls]}"
        assert len(self.log.entries()) == before, "a task ran all the same"

    def refuses(self, call: Callable[[], object], capability: Capability) -> None:
        """Fail unless a call is refused with `UnsupportedCapability` before anything is submitted."""
        with self.nothing_is_submitted():
            try:
                call()
            except UnsupportedCapability:
                return
        raise AssertionError(
            f"the engine does not declare {capability.name} but did not refuse the call: declare it, or raise"
        )

    # -- other processes

    def subprocess(self, code: str, *argv: object, runtime: str = "", **env: str) -> Client:
        """Start another client process that runs ``code`` as a script, with this store, key and runtime as its own.

        Args:
            code: the script; it has omruntime's public names, ``argv``, and ``answer(value)`` to report back.
            *argv: arguments, passed as text.
            runtime: URL of its runtime; by default that of the cluster.
            **env: more environment variables.
        """
        given = {"OMRUNTIME_STORE": self.store_url, "OMRUNTIME_RUNTIME": runtime or self.client_url}
        client = start_client(
            textwrap.dedent(code),
            tuple(map(str, argv)),
            place=self.place / f"client-{len(self._clients)}",
            env=self._env | given | env,
            wait=self.wait,
        )
        self._clients.append(client)
        return client

    def client_outputs(self) -> list[str]:
        """Return what each of the other client processes has printed."""
        return [client.output for client in self._clients]

    def close(self) -> None:
        """Let go of everything: open the gates, end other clients, close every Omega."""
        for gate in self._gates:
            gate.open()
        for client in self._clients:
            client.kill()
        self._stack.close()
