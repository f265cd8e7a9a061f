"""What a host does with the engine of its process: room, announcements, what is sent on, what is known elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from omruntime import Auth, Omega, OmegaRuntime, virtualobj
from omruntime.abc import Backend, Call, Capability, WorkerInfo, pack_call, unpack_answer
from omruntime.errors import BackendUnavailable, NoSuchLabel, RuntimeClosed, SignatureError, StoreUnavailable
from omruntime.testing import capture_calls
from omruntime.worker import Host
from tests.worker.conftest import deploy
from tests.worker.gates import Gate, eventually

AUTH = Auth("tests", "a key of these tests")
ELSEWHERE = WorkerInfo("engine@elsewhere-1", ("gpu",), "elsewhere", 1, 1)


class Engine(Backend):
    """Keeps what it is told, and what it is to send."""

    name = "engine"
    schemes = ("engine",)
    capabilities = frozenset(Capability)
    address = "engine://here"

    def __init__(self) -> None:
        self.forwarded: list[Call] = []
        self.told: list[list[WorkerInfo]] = []
        self.gone = threading.Event()

    @classmethod
    def open(cls, url: str, **options: Any) -> Engine:
        return cls()

    def submit(self, call: Call) -> Future[bytes]:
        raise NotImplementedError

    def forward(self, call: Call) -> None:
        if self.gone.is_set():
            raise BackendUnavailable("the engine is gone")
        self.forwarded.append(call)

    def announce(self, workers: Sequence[WorkerInfo]) -> None:
        if self.gone.is_set():
            raise BackendUnavailable("the engine is gone")
        self.told.append(list(workers))

    def workers(self) -> list[WorkerInfo]:
        if self.gone.is_set():
            raise BackendUnavailable("the engine is gone")
        return [*self.told[-1], ELSEWHERE]

    def close(self) -> None:
        return


class OmegaRuntimeEngine(OmegaRuntime):
    backend = Engine


@virtualobj
def submits(data: object = None, om: Omega | None = None) -> object:
    """Submit a task, and return the workers that there are."""
    assert om is not None
    om.runtime.script("echo").run("from inside")
    return sorted(om.runtime.labels())


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def host(engine: Engine) -> Iterator[Host]:
    made = Host.of(engine, {"default": 2}, AUTH)
    yield made
    made.close(wait=False)


@pytest.fixture
def om(tmp_path: Path) -> Iterator[Omega]:
    with deploy(Omega(f"sqlite:///{tmp_path}/store", OmegaRuntimeEngine(auth=AUTH))) as made:
        made.scripts.put(submits, "submits")
        yield made


def call_of(om: Omega, name: str, *args: object, **kwargs: object) -> Call:
    """Return a call that nobody has sent."""
    with capture_calls(om.runtime, deliver=False) as calls:
        om.runtime.script(name).run(*args, **kwargs)
    return calls[0]


def delivered(host: Host, packed: bytes) -> Future[bytes]:
    future: Future[bytes] = Future()
    host.deliver(packed, lambda answer: unpack_answer(answer, future))
    return future


def test_there_is_room_for_what_would_begin_at_once(host: Host, om: Omega, gate: Gate) -> None:
    assert (host.room("default"), host.room("gpu")) == (2, 0)
    host.freed.clear()
    held = delivered(host, pack_call(call_of(om, "held", 1, **gate.arguments)))
    gate.wait_for_start()
    assert host.room("default") == 1
    gate.open()
    assert held.result(60)
    assert host.freed.wait(60)
    eventually(lambda: host.room("default") == 2, "room for two")


def test_what_waits_for_a_slot_is_given_back_and_what_runs_is_not(host: Host, om: Omega, tmp_path: Path) -> None:
    gates = [Gate(tmp_path, name) for name in ("one", "two")]
    running = [host.submit(call_of(om, "held", 1, **gate.arguments).payload) for gate in gates]
    for gate in gates:
        gate.wait_for_start()
    call = call_of(om, "echo", "elsewhere")
    answers: list[bytes] = []
    waiting = host.deliver(pack_call(call), answers.append)
    assert not host.give_back(running[0])
    assert host.give_back(waiting)
    assert not host.give_back(waiting)
    assert isinstance(waiting.exception(60), RuntimeClosed)
    for gate in gates:
        gate.open()
    assert all(future.result(60) for future in running)
    assert answers == []
    assert om.runtime.result(call.id).status == "PENDING"
    assert delivered(host, pack_call(call)).result(60), "it can come again"


def test_the_engine_is_told_who_works(host: Host, engine: Engine) -> None:
    assert engine.told[-1] == host.workers()
    host.scale({"gpu": 1})
    assert sorted(worker.labels for worker in engine.told[-1]) == [("default",), ("default",), ("gpu",)]


def test_an_engine_that_was_gone_is_told_when_it_is_back(host: Host, engine: Engine) -> None:
    engine.gone.set()
    host.scale({"gpu": 1})
    assert len(engine.told[-1]) == 2
    engine.gone.clear()
    eventually(lambda: len(engine.told[-1]) == 3, "the third worker, told")


def test_tasks_submit_to_the_engine_and_see_all_its_workers(host: Host, engine: Engine, om: Omega) -> None:
    call = call_of(om, "submits")
    assert delivered(host, pack_call(call)).result(60)
    (sent,) = engine.forwarded
    assert sent.name == "script.run echo"
    value = om.runtime.result(call.id).get(60)["result"]
    assert value == sorted(each.name for each in (*host.workers(), ELSEWHERE))


def test_a_task_goes_on_where_the_engine_does_not(host: Host, engine: Engine, om: Omega) -> None:
    call = call_of(om, "submits")
    engine.gone.set()
    assert delivered(host, pack_call(call)).result(60)
    # It sees the workers that this host knows of.
    assert om.runtime.result(call.id).get(60)["result"] == sorted(each.name for each in host.workers())
    assert host.room("default") == 2, "the slot is not out of order"


def test_what_is_no_call_is_answered_with_a_refusal(host: Host) -> None:
    assert isinstance(delivered(host, b"nonsense").exception(60), SignatureError)


def test_a_call_for_others_is_refused(host: Host, om: Omega) -> None:
    with capture_calls(om.runtime, deliver=False) as calls:
        om.runtime.require("gpu").script("echo").run(1)
    with pytest.raises(
        NoSuchLabel, match="engine://here brought a call for the label 'gpu' to a worker that has default"
    ):
        delivered(host, pack_call(calls[0])).result(60)
    assert om.session.ledger.state(calls[0].id).claim is None


def test_a_closed_host_leaves_a_call_to_others(host: Host, om: Omega) -> None:
    call = call_of(om, "echo", 1)
    host.close()
    future = delivered(host, pack_call(call))
    assert not future.done()
    assert om.session.ledger.state(call.id).claim is None


def test_a_store_is_looked_after_before_the_first_call(host: Host, om: Omega) -> None:
    host.look_after(om.store.url)
    assert [site.store.id for site in host.sites.all()] == [om.store.id]
    with pytest.raises(StoreUnavailable):
        host.look_after(f"{om.store.url}-that-is-not-there")
