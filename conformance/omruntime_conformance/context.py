"""What a rule is given: an Omega, the suite's log and gates, other clients, and faults."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from omruntime import AsyncResult, Auth, Omega, OmegaRuntime, OmegaScriptProxy
from omruntime.abc import Capability, WorkerInfo
from omruntime.errors import UnsupportedCapability
from omruntime.testing import capture_calls
from omruntime_conformance.clients import Client, start_client
from omruntime_conformance.clusters import open_private
from omruntime_conformance.faults import Processes
from omruntime_conformance.harness import Cluster, Harness, NotExercised
from omruntime_conformance.judge import Outcomes, too_many_copies, too_many_executions
from omruntime_conformance.oracle import CLUSTER, Entry, Gate, Log, Waiter
from omruntime_conformance.registry import Rule
from omruntime_conformance.tasks import held

__all__ = ["Context", "NotExercised", "Replaced"]

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")


class Replaced(Exception):
    """Other rules hold in the place of this one; their ids are the first argument, the second says why."""

    def __init__(self, instead: str, why: str) -> None:
        super().__init__(f"{why}: {instead} holds instead")


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
        self.stores = self._stack.enter_context(harness.storage(place))
        """The rule's stores, of which ``om`` has the first."""
        self._outcomes, self._elsewhere = Outcomes(), Outcomes()
        self.om = self.omega(self.runtime())

    # -- Omega and its tasks

    @property
    def store_url(self) -> str:
        """URL of the rule's own store."""
        return self.stores.url()

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
        """Open a runtime of the cluster."""
        if isinstance(self._cluster, str):
            return OmegaRuntime.from_url(self._cluster, auth=self.auth)
        return self._cluster

    def private_runtime(self, workers: Mapping[str, int] | None = None) -> OmegaRuntime:
        """Open a private cluster of the engine with the rule's workers, or with these."""
        return open_private(self.private_url, workers or self.rule.workers, self._env, self.auth)

    def own_runtime(self) -> OmegaRuntime:
        """Open a runtime that nobody else has, so that it ends with its Omega: a connection, or a private cluster."""
        return self.runtime() if isinstance(self._cluster, str) else self.private_runtime()

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
        here = result.ledger.store.url == self.om.store.url
        return (self._outcomes if here else self._elsewhere).get(result, self.wait.seconds)

    def value(self, result: AsyncResult) -> Any:
        """Return what a script returned, taken from its envelope."""
        return self.get(result)["result"]

    def fails(self, result: AsyncResult, kind: type[E]) -> E:
        """Return the error of a task that must fail with one of this type."""
        try:
            value = self.get(result)
        except kind as exc:
            return exc
        except Exception as exc:
            raise AssertionError(
                f"must fail with {kind.__name__}, and failed with {type(exc).__name__}: {exc}"
            ) from exc
        raise AssertionError(f"must fail with {kind.__name__}, and returned {value!r:.200}")

    # -- slots

    def slots(self, label: str = "default") -> int:
        """Return how many tasks of a label can run at a time; a cluster may have more than the rule asks for."""
        needed = set(label.split(","))
        return sum(worker.slots for worker in self.om.runtime.workers() if needed <= set(worker.labels))

    @contextmanager
    def busy(self, label: str = "default") -> Iterator[list[Entry]]:
        """Keep every slot of a label busy within the block; gives the line that each of them has noted."""
        name = f"busy {len(self._gates)}"
        slots, gate = self.slots(label), self.gate(name)
        self.om.scripts.put(held, "busy")
        script = self.om.runtime.require(label).script("busy")
        handles = [script.run(number, log=str(self.log), gate=str(gate), name=name) for number in range(slots)]
        yield self.log.wait("start", name, slots)
        gate.open()
        assert [self.value(handle) for handle in handles] == [*range(slots)]

    def worker_pids(self, label: str = "default") -> set[int]:
        """Return the processes that tasks of a label run in, each of which has just run one."""
        with self.busy(label) as running:
            pids = {entry.pid for entry in running}
        assert len(pids) == len(running), "two tasks ran in one process at the same time"
        return pids

    def labels_of(self, entry: Entry) -> set[str]:
        """Return the labels of the worker that a line is from: as it says itself, or by its process."""
        if entry.label:
            return set(entry.label.split(","))
        found = [each for each in self.om.runtime.workers() if (each.pid, each.host) == (entry.pid, entry.host)]
        assert found, f"workers() does not list the process {entry.pid}@{entry.host}, which has run a task"
        return set(found[0].labels)

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
        gate = Gate(self.place / "gates" / name, self.log)
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

    def kill_node(self, worker: WorkerInfo) -> None:
        """Have the harness kill the whole node of a worker."""
        self.log.record(f"has the node of {worker.name} killed", pid=worker.pid, fault=CLUSTER)
        self.harness.kill_node(worker)

    def restart_broker(self) -> None:
        """Have the harness kill the broker or scheduler and start it again."""
        self.log.record("has the broker killed and started again", fault=CLUSTER)
        self.harness.restart_broker()
        self.log.record("goes on with the broker that was started again")

    @contextmanager
    def without_store(self) -> Iterator[None]:
        """Keep everybody from writing to the rule's store within the block."""
        self.log.record("takes the store away", fault=CLUSTER)
        with self.stores.gone():
            yield
        self.log.record("brings the store back")

    @contextmanager
    def without_content(self) -> Iterator[None]:
        """Keep the content of all objects away from the rule's store within the block; its records stay."""
        self.log.record("takes the content of the store away")
        with self.stores.without_content():
            yield
        self.log.record("brings the content of the store back")

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
            self.works_anyway(capability)

    def works_anyway(self, capability: Capability) -> NoReturn:
        """Fail because something works that the engine does not declare."""
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
            log=self.log,
        )
        self._clients.append(client)
        return client

    def client_outputs(self) -> list[str]:
        """Return what each of the other client processes has printed."""
        return [client.output for client in self._clients]

    def verdicts(self) -> list[str]:
        """Return what must hold after every rule and does not, a sentence for each.

        A task was executed once where no fault was injected, and at most as often as it has attempts where one was;
        whoever reads its outcome reads the same one; its own effects on the store have happened once.
        """
        self._outcomes.read_again(self.om.runtime.result, self.wait.seconds)
        return [
            *too_many_executions(self.log.all()),
            *self._outcomes.broken,
            *self._elsewhere.broken,
            *too_many_copies(self.om),
        ]

    def judge(self) -> None:
        """Fail when what must hold after every rule does not; see `verdicts`."""
        verdicts = self.verdicts()
        assert not verdicts, "the rule's own checks have passed, but " + "; and ".join(verdicts)

    def close(self) -> None:
        """Let go of everything: open the gates, end other clients, close every Omega."""
        for gate in self._gates:
            gate.open()
        for client in self._clients:
            client.kill()
        self._stack.close()
