"""Celery's own command and tools: workers, signals, events, inspect, control."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client
from celery import Celery
from omruntime_celery.broker import app_for
from tests.world import QUOTED, SECRET, Redis, Worker, Workers, eventually

from omruntime import Omega, virtualobj
from omruntime.errors import TaskRevoked

MODULE = "omruntime_celery.worker"


@virtualobj
def hold(data: object = None, gate: str = "", **kwargs: object) -> object:
    """Wait at the gate, where there is one, and return the first argument."""
    import os
    import time

    if data == "fail":
        raise ValueError(data)
    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    return data


@pytest.fixture(autouse=True)
def _empty(redis: Redis) -> None:
    with redis_client.Redis.from_url(redis.address) as client:
        client.flushdb()


@pytest.fixture
def om(om: Omega) -> Omega:
    om.scripts.put(hold, "hold")
    return om


def started(om: Omega, gate: Path, label: str = "default") -> Any:
    held = om.runtime.require(label).script("hold").run(5, gate=str(gate))
    eventually(lambda: held.status == "STARTED", "the start of the task")
    return held


def test_the_command_starts_a_worker_with_labels_slots_and_a_name(om: Omega, redis: Redis, workers: Workers) -> None:
    worker = workers(
        "",
        "-Q",
        "gpu,big",
        "-c",
        "2",
        "-n",
        "mine@here",
        "-l",
        "INFO",
        module=f"{MODULE}",
        wait=False,
        env={"CELERY_BROKER_URL": redis.address},
    )
    eventually(lambda: list(om.runtime.labels().values()) == [["big", "gpu"]] * 2, "two slots")
    for label in ("gpu", "big", "gpu,big"):
        assert om.runtime.require(label).script("hold").run(label).get(60)["result"] == label
    worker.hears("mine@here ready")
    for name in ("omruntime.big", "omruntime.gpu", "omruntime.big,gpu"):
        assert name in worker.said
    assert SECRET not in worker.said
    assert "Traceback" not in worker.said


@pytest.mark.parametrize(
    ("module", "signals"), [(MODULE, ["TERM"]), ("", ["TERM"]), ("", ["INT"])], ids=["celery", "omruntime", "Ctrl-C"]
)
def test_a_worker_that_is_told_to_end_takes_nothing_more_and_finishes_its_task(
    om: Omega, redis: Redis, workers: Workers, tmp_path: Path, module: str, signals: list[str]
) -> None:
    worker = workers(redis.url, *(["-c", "1"] if module else ["--concurrency", "1"]), module=module)
    held = started(om, tmp_path / "gate")
    for name in signals:
        worker.process.send_signal(signal.Signals[f"SIG{name}"])
    eventually(lambda: om.runtime.labels() == {}, "its leave")
    assert worker.process.poll() is None
    (tmp_path / "gate").touch()
    assert held.get(60)["result"] == 5
    assert worker.process.wait(60) == 0


@pytest.mark.parametrize("signals", [["QUIT"], ["TERM", "QUIT"], ["INT", "INT"]], ids="-".join)
def test_a_worker_that_is_to_end_at_once_leaves_its_task_to_others(
    om: Omega, redis: Redis, workers: Workers, tmp_path: Path, signals: list[str]
) -> None:
    worker = workers(redis.url, "-c", "1", module=MODULE)
    held = started(om, tmp_path / "gate")
    workers(redis.url, "--concurrency", "1", env={"OMRUNTIME_STORE": om.store.url})
    for number, name in enumerate(signals):
        worker.process.send_signal(signal.Signals[f"SIG{name}"])
        if number + 1 < len(signals):
            worker.hears("Warm shutdown")
    worker.process.wait(60)
    eventually(lambda: len(om.runtime.labels()) == 1, "its leave")
    (tmp_path / "gate").touch()
    assert held.get(60)["result"] == 5


@contextmanager
def watching(app: Celery) -> Iterator[list[dict[str, Any]]]:
    """Have the events that workers send."""
    seen: list[dict[str, Any]] = []
    over = threading.Event()

    def receive() -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": seen.append})
            for _ in receiver.consume(limit=None, timeout=0.2, wakeup=True):
                if over.is_set():
                    return

    thread = threading.Thread(target=_until(receive, over), daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _until(receive: Any, over: threading.Event) -> Any:
    def run() -> None:
        while not over.is_set():
            try:
                receive()
            except TimeoutError:
                continue

    return run


def test_celery_events_show_tasks_by_their_names(om: Omega, redis: Redis, workers: Workers, tmp_path: Path) -> None:
    with watching(app_for(redis.url)) as seen:
        workers(redis.url, "-c", "1", "-E", module=MODULE)
        eventually(lambda: any(each["type"].startswith("worker-") for each in seen), "a worker's event")
        om.runtime.script("hold").run(1).get(60)
        failed = om.runtime.script("hold").run("fail")
        eventually(failed.failed, "the failure")
        held = started(om, tmp_path / "gate")
        held.cancel()
        kinds = {"task-received", "task-started", "task-succeeded", "task-failed", "task-revoked"}
        eventually(lambda: kinds <= {each["type"] for each in seen}, "every event")
    received = [each for each in seen if each["type"] == "task-received"]
    assert {each["name"] for each in received} == {"script.run hold"}
    assert {each["uuid"] for each in seen if each["type"] == "task-revoked"} == {held.id}


def test_celery_inspect_and_control_say_and_do_what_they_do_for_others(
    om: Omega, redis: Redis, workers: Workers, tmp_path: Path
) -> None:
    worker = workers(redis.url, "-c", "1", "-n", "mine@here", module=MODULE)
    held = started(om, tmp_path / "gate")
    app = app_for(redis.url)
    ask = app.control.inspect(timeout=60, limit=1)
    assert ask.ping() == {"mine@here": {"ok": "pong"}}
    ((shown,),) = ask.active().values()
    assert (shown["id"], shown["name"]) == (held.id, "script.run hold")
    assert [each["name"] for each in ask.active_queues()["mine@here"]] == ["omruntime.default"]
    assert ask.reserved() == {"mine@here": []}
    assert ask.stats()["mine@here"]["broker"]["transport"] == "redis"
    for told in (ask.conf(with_defaults=True), ask.report(), ask.stats()):
        assert SECRET not in str(told)
        assert QUOTED not in str(told)

    app.control.revoke(held.id)
    assert ask.ping()
    assert held.status == "STARTED", "Celery has it go on unless it is told to terminate it"
    app.control.revoke(held.id, terminate=True)
    with pytest.raises(TaskRevoked, match="tools"):
        held.get(60)
    assert om.runtime.script("hold").run(3).get(60)["result"] == 3
    command = [sys.executable, "-m", "celery", "-b", redis.address, "control", "shutdown"]
    subprocess.run(command, capture_output=True, check=False)
    assert worker.process.wait(60) == 0
    assert om.runtime.labels() == {}
    app.close()


def test_a_queue_that_was_purged_is_filled_again(om: Omega, redis: Redis, workers: Workers) -> None:
    waiting = om.runtime.script("hold").run(4)
    with redis_client.Redis.from_url(redis.address) as client:
        assert client.delete("omruntime.default") == 1
    workers(redis.url, "-c", "1", module=MODULE, env={"OMRUNTIME_STORE": om.store.url, "OMRUNTIME_LEASE": "0.5"})
    assert waiting.get(60)["result"] == 4


def test_every_client_sees_who_joins_leaves_and_dies(om: Omega, redis: Redis, workers: Workers) -> None:
    def labels(of: Omega) -> list[list[str]]:
        return sorted(of.runtime.labels().values())

    with Omega(om.store.url, redis.url) as other:
        assert labels(om) == labels(other) == []
        first = workers(redis.url, "--label", "gpu", "--concurrency", "2", wait=False)
        eventually(lambda: labels(om) == labels(other) == [["gpu"], ["gpu"]], "who joins")
        second: Worker = workers(redis.url, "--label", "big", "--concurrency", "1", wait=False)
        eventually(lambda: labels(om) == labels(other) == [["big"], ["gpu"], ["gpu"]], "who joins later")
        first.process.terminate()
        eventually(lambda: labels(om) == labels(other) == [["big"]], "who leaves")
        second.process.kill()
        eventually(lambda: labels(om) == labels(other) == [], "who dies")


def test_the_commands_of_omruntime_take_the_address_of_a_broker(om: Omega, redis: Redis, workers: Workers) -> None:
    workers(redis.url, "--label", "gpu", "--concurrency", "1")
    for command, told in (
        ("workers", "gpu"),
        ("labels", "gpu"),
        ("status", "no tasks"),
        ("backends", "celery+redis"),
    ):
        where = [] if command == "backends" else ["--runtime", redis.url, "--store", om.store.url]
        done = subprocess.run(
            [sys.executable, "-m", "omruntime", command, *where], capture_output=True, text=True, check=True
        )
        assert told in done.stdout
        assert SECRET not in done.stdout + done.stderr
