"""What is Celery's own in faults: messages that are lost, brokers that hang, connections that are made again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from omruntime_celery import OmegaRuntimeCelery
from omruntime_celery.servers import RedisServer
from tests.world import LIMIT, Workers, eventually

from omruntime import AsyncResult, Omega, virtualobj


@virtualobj
def noted(data: Any = None, log: str = "", gate: str = "", **kwargs: Any) -> Any:
    import os
    import threading

    with open(log, "a") as lines:
        lines.write(f"{data} {os.getpid()}\n")
    while gate and not os.path.exists(gate):
        threading.Event().wait(0.01)
    return data


class World:
    """A client, what its tasks have noted, and the gate that they wait for."""

    def __init__(self, om: Omega, directory: Path) -> None:
        self.om, self.log, self.gate = om, directory / "log", directory / "gate"
        self.log.touch()
        om.scripts.put(noted, "noted")

    def run(self, data: object, *, held: bool = False) -> AsyncResult:
        script = self.om.runtime.script("noted")
        result: AsyncResult = script.run(data, log=str(self.log), gate=str(self.gate) if held else "")
        return result

    def starts(self, data: object) -> list[int]:
        """Return the processes in which a task has begun."""
        rows = [line.split() for line in self.log.read_text().splitlines()]
        return [int(pid) for name, pid in rows if name == str(data)]

    def begun(self, data: object) -> int:
        eventually(lambda: self.starts(data), f"the start of {data}")
        return self.starts(data)[0]


def value(result: AsyncResult) -> object:
    return result.get(timeout=LIMIT)["result"]


@pytest.fixture
def broker() -> Iterator[RedisServer]:
    """A Redis that a test may kill."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def environment(store_url: str) -> dict[str, str]:
    return {"OMRUNTIME_STORE": store_url, "OMRUNTIME_LEASE": "1"}


@pytest.fixture
def world(broker: RedisServer, store_url: str, tmp_path: Path) -> Iterator[World]:
    with Omega(store_url, broker.url) as om:
        yield World(om, tmp_path)


def test_the_tasks_of_a_lost_worker_are_back(
    world: World, broker: RedisServer, workers: Workers, environment: dict[str, str]
) -> None:
    first = workers(broker.url, env=environment)
    result = world.run("lost", held=True)
    world.begun("lost")
    workers(broker.url, env=environment)
    first.process.kill()
    world.gate.touch()
    assert value(result) == "lost"
    assert len(set(world.starts("lost"))) == 2


def test_a_message_that_was_taken_and_not_claimed_is_sent_again(
    world: World, broker: RedisServer, workers: Workers, environment: dict[str, str]
) -> None:
    lost, other = world.run("taken"), world.run("left")
    with redis.Redis(port=broker.port) as client:
        # As a worker does that dies before it has written its claim: the oldest one is at the right end.
        assert client.brpop("omruntime.default", 1) is not None
    workers(broker.url, env=environment)
    assert value(other) == "left"
    assert value(lost) == "taken"
    assert [len(world.starts(name)) for name in ("taken", "left")] == [1, 1]


@pytest.mark.parametrize("module", ["", "omruntime_celery.worker"])
def test_workers_and_clients_come_back_to_a_broker_that_was_gone(
    world: World, broker: RedisServer, workers: Workers, environment: dict[str, str], module: str
) -> None:
    worker = workers(broker.url, module=module, env=environment)
    held = world.run("held", held=True)
    world.begun("held")
    waits = world.run("waits")
    broker.kill()
    broker.start()
    world.gate.touch()
    assert [value(held), value(waits)] == ["held", "waits"]
    assert [len(world.starts(name)) for name in ("held", "waits")] == [1, 1]
    assert world.begun("held") in {each.pid for each in world.om.runtime.workers()}, "it is seen again"
    assert worker.process.poll() is None
    pushed = world.run("pushed")
    future = pushed._waiting._pushed
    assert future.result(LIMIT), "answers are pushed again"


def test_a_broker_that_hangs_is_waited_for(
    world: World, broker: RedisServer, workers: Workers, environment: dict[str, str]
) -> None:
    workers(broker.url, env=environment)
    held = world.run("held", held=True)
    world.begun("held")
    process = broker._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        world.gate.touch()
        assert value(held) == "held", "the ledger tells what the broker does not"
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert value(world.run("after")) == "after"
    assert len(world.starts("held")) == 1


def test_a_long_task_runs_once_whatever_the_app_has_the_broker_do(
    broker: RedisServer, workers: Workers, environment: dict[str, str], store_url: str, tmp_path: Path
) -> None:
    (tmp_path / "impatient.py").write_text(
        "from celery import Celery\n"
        "from omruntime_celery.worker import worker_app\n"
        f"app = worker_app(Celery('theirs', broker='redis://127.0.0.1:{broker.port}/0', broker_transport_options="
        "{'visibility_timeout': 1, 'unacked_restore_interval': 0.2, 'unacked_restore_throttle': 1}))\n"
    )
    env = {**environment, "PYTHONPATH": str(tmp_path)}
    app = Celery("theirs", broker=f"redis://127.0.0.1:{broker.port}/0", set_as_current=False)
    with Omega(store_url, OmegaRuntimeCelery(app=app)) as om:
        world = World(om, tmp_path)
        for name in ("one", "other"):
            workers(broker.url, "-n", f"{name}@%h", module="impatient", env=env)
        held = world.run("long", held=True)
        world.begun("long")
        with redis.Redis(port=broker.port) as client:
            before = _restored(client)
            eventually(lambda: _restored(client) > before + 1, "the broker giving the message to a worker again")
        world.gate.touch()
        assert value(held) == "long"
        assert value(world.run("after")) == "after"
        assert len(world.starts("long")) == 1


def _restored(client: Any) -> int:
    """Return how often messages have been put back into a queue, or taken off it for good."""
    commands = client.info("commandstats")
    return int(commands.get("cmdstat_zrem", {}).get("calls", 0))
