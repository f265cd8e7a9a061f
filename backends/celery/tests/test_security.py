"""Whatever comes from the broker: nothing of it is unpickled, nothing of it is logged, and the worker lives."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client
from kombu import Connection
from omruntime_celery.broker import CONTENT
from omruntime_celery.mailbox import pack_letters
from omruntime_celery.presence import pack_presence
from tests.world import QUOTED, SECRET, Redis, Worker, Workers, eventually, starting

from omruntime import Omega, virtualobj
from omruntime.abc import Call, pack_call
from omruntime.errors import StoreUnavailable
from tests.logins import PASSWORD, store_with_a_password, tasks_reach_it

QUEUE = "omruntime.default"
PICKLE = "application/x-python-serialize"
OURS = {"task": "omruntime", "id": "forged", "root_id": "forged", "shadow": "s", "label": "default", "lang": "py"}


@virtualobj
def echo(data: object = None, gate: str = "", **kwargs: object) -> object:
    """Wait at the gate, where there is one, and return the first argument."""
    import os
    import time

    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    return data


@dataclass
class Scene:
    """A live worker, its client, and somebody who can write to the broker."""

    redis: Redis
    worker: Worker
    om: Omega
    mark: Path

    @property
    def bomb(self) -> bytes:
        """A pickle that leaves a mark where it is loaded."""
        return pickle.dumps(_Bomb(str(self.mark)))

    def send(self, body: Any, kind: str = CONTENT, to: str = QUEUE, exchange: str = "", **options: Any) -> None:
        encoding = "utf-8" if isinstance(body, str) else "binary"
        with Connection(self.redis.address) as connection:
            connection.Producer().publish(
                body, exchange=exchange, routing_key=to, content_type=kind, content_encoding=encoding, **options
            )

    def push(self, text: bytes, to: str = QUEUE) -> None:
        """Write past kombu."""
        with redis_client.Redis.from_url(self.redis.address) as client:
            client.lpush(to, text)

    @property
    def mailbox(self) -> str:
        name: str = self.om.runtime.engine.backend.mailbox
        return name

    def control(self, order: str, **arguments: Any) -> None:
        backend: Any = self.om.runtime.engine.backend
        backend.app.control.broadcast(order, arguments=arguments)

    def works(self) -> None:
        assert self.om.runtime.script("echo").run(7).get(60)["result"] == 7
        assert self.worker.process.poll() is None
        assert not self.mark.exists(), "something was unpickled"


class _Bomb:
    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.fixture(scope="module", params=["omruntime worker", "celery -A omruntime_celery.worker worker"])
def scene(request: pytest.FixtureRequest, redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("scene")
    module = "omruntime_celery.worker" if request.param.startswith("celery") else ""
    options = ["-Q", "default", "-c", "1", "-l", "INFO"] if module else ["--concurrency", "1"]
    with starting(directory) as start, Omega(f"sqlite:///{directory}/store", redis.url) as om:
        om.scripts.put(echo, "echo")
        there = Scene(redis, start(redis.url, *options, module=module), om, directory / "mark")
        there.works()
        yield there


MESSAGES: dict[str, Callable[[Scene], None]] = {
    "a pickle for our task": lambda scene: scene.send(scene.bomb, PICKLE, headers=OURS),
    "a pickle for another task": lambda scene: scene.send(scene.bomb, PICKLE, headers={**OURS, "task": "tasks.add"}),
    "a pickle of protocol 1": lambda scene: scene.send(scene.bomb, PICKLE, headers={}),
    "a pickle as a call": lambda scene: scene.send(scene.bomb, headers=OURS),
    "JSON for our task": lambda scene: scene.send('[["hidden"], {}, {}]', "application/json", headers=OURS),
    "JSON for another task": lambda scene: scene.send(
        '[["hidden"], {}, {}]', "application/json", headers={**OURS, "task": "tasks.add"}
    ),
    "JSON of protocol 1": lambda scene: scene.send(
        '{"task": "tasks.add", "id": "1", "args": ["hidden"], "kwargs": {}}', "application/json", headers={}
    ),
    "no JSON": lambda scene: scene.send("{] hidden", "application/json", headers={}),
    "no headers": lambda scene: scene.send(b"hidden", headers={}),
    "garbage": lambda scene: scene.send(b"hidden", headers=OURS),
    "nothing": lambda scene: scene.send(b"", headers=OURS),
    "no text for a task": lambda scene: scene.send(b"hidden", headers={**OURS, "task": {"a": 1}}),
    "no text for an id": lambda scene: scene.send(b"hidden", headers={**OURS, "id": ["a"]}),
    "a label that this worker has not": lambda scene: scene.send(b"hidden", headers={**OURS, "label": "elsewhere"}),
    "no number for a time": lambda scene: scene.send(b"hidden", headers={**OURS, "eta": "hidden", "expires": {}}),
    "huge headers": lambda scene: scene.send(b"hidden", headers={**OURS, "shadow": "y" * 3_000_000}),
    "no compression": lambda scene: scene.send(b"hidden", headers={**OURS, "compression": "gzip"}),
    "no queue to answer to": lambda scene: scene.send(b"hidden", headers=OURS, reply_to=["x"]),
    "an answer to a label": lambda scene: scene.send(b"hidden", headers=OURS, reply_to=QUEUE),
    "no message": lambda scene: scene.push(b"\x00hidden"),
    "a number": lambda scene: scene.push(b"17"),
    "an empty message": lambda scene: scene.push(b"{}"),
    "a message in no known code": lambda scene: scene.push(
        json.dumps(
            {
                "body": "YQ==",
                "headers": OURS,
                "content-type": CONTENT,
                "content-encoding": "binary",
                "properties": {"body_encoding": "hidden", "delivery_tag": "1", "delivery_info": {}},
            }
        ).encode()
    ),
    "an unknown order": lambda scene: scene.control("nonsense", argument=1),
    "an order that is none": lambda scene: scene.send(b"hidden", to="", exchange="omruntime.orders"),
    "an order for no task": lambda scene: scene.send(b'{"cancel": ["x"]}', to="", exchange="omruntime.orders"),
    "an order with more in it": lambda scene: scene.send(b'{"hidden": 1}', to="", exchange="omruntime.orders"),
    "a pickled order": lambda scene: scene.send(scene.bomb, PICKLE, to="", exchange="omruntime.orders"),
    "a pickled order of Celery's": lambda scene: scene.send(scene.bomb, PICKLE, to="", exchange="celery.pidbox"),
    "pickled news": lambda scene: scene.send(scene.bomb, PICKLE, to="", exchange="omruntime.workers"),
    "no news": lambda scene: scene.send(b"hidden", to="", exchange="omruntime.workers"),
    "a pickle for the client": lambda scene: scene.send(scene.bomb, PICKLE, to=scene.mailbox),
    "garbage for the client": lambda scene: scene.send(b"hidden", to=scene.mailbox),
    "no message for the client": lambda scene: scene.push(b"hidden", to=scene.mailbox),
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_whatever_is_sent_the_worker_and_its_client_go_on(scene: Scene, kind: str) -> None:
    scene.works()
    MESSAGES[kind](scene)
    scene.works()
    assert "hidden" not in scene.worker.said
    assert SECRET not in scene.worker.said
    assert QUOTED not in scene.worker.said


def test_an_order_to_cancel_what_nobody_has_cancelled_stops_nothing(scene: Scene, tmp_path: Path) -> None:
    held = scene.om.runtime.script("echo").run(5, gate=str(tmp_path / "gate"))
    eventually(lambda: held.status == "STARTED", "the start of the task")
    scene.send(f'{{"cancel": "{held.id}"}}'.encode(), to="", exchange="omruntime.orders")
    scene.send(b"{}", to="", exchange="omruntime.orders")
    (tmp_path / "gate").touch()
    assert held.get(60)["result"] == 5


def test_an_answer_that_somebody_else_has_written_is_not_believed(scene: Scene, tmp_path: Path) -> None:
    # The last one is an answer as such, whose outcome nobody has signed.
    for number, forged in enumerate((b"", b"garbage", b"\x93\xc4\x04evil\xa0\xa0")):
        gate = tmp_path / str(number)
        held = scene.om.runtime.script("echo").run(5, gate=str(gate))
        later = held.future()
        eventually(lambda held=held: held.status == "STARTED", "the start of the task")  # type: ignore[misc]
        scene.send(pack_letters([(held.id, forged)]), to=scene.mailbox)
        gate.touch()
        assert held.get(60)["result"] == 5
        assert later.result(60)["result"] == 5


def test_calls_that_are_sent_again_or_altered_run_nothing(scene: Scene, tmp_path: Path) -> None:
    sent: list[Call] = []
    backend: Any = scene.om.runtime.engine.backend
    submit = backend.submit

    def noting(call: Call) -> Future[bytes]:
        sent.append(call)
        future: Future[bytes] = submit(call)
        return future

    backend.submit = noting
    try:
        over = scene.om.runtime.script("echo").run(1)
        assert over.get(60)["result"] == 1
        held = scene.om.runtime.script("echo").run(2, gate=str(tmp_path / "gate"))
        eventually(lambda: held.status == "STARTED", "the start of the task")
    finally:
        del backend.submit
    for call in sent:
        head = bytes(call.payload[0])
        altered = Call(call.id, call.name, call.label, (head[:-1] + bytes([head[-1] ^ 1]), *call.payload[1:]))
        for each in (call, altered):
            scene.send(pack_call(each), headers={**OURS, "id": call.id})
    (tmp_path / "gate").touch()
    assert held.get(60)["result"] == 2
    assert over.get(60)["result"] == 1
    scene.works()
    assert "SignatureError" in scene.worker.said


def test_news_of_a_worker_that_is_none_is_forgotten(scene: Scene) -> None:
    before = scene.om.runtime.labels()
    scene.send(pack_presence("forged", 0.2, scene.om.runtime.workers()), to="", exchange="omruntime.workers")
    scene.send(pack_presence(scene.mailbox, 1e400, []), to="", exchange="omruntime.workers")
    eventually(lambda: scene.om.runtime.labels() == before, "the labels of those who live")


def test_the_password_is_nowhere_but_in_the_memory_of_those_who_need_it(scene: Scene, tmp_path: Path) -> None:
    @virtualobj
    def look(data: object = None, gate: str = "", **kwargs: object) -> object:
        import os
        import sys
        import time

        while not os.path.exists(gate):
            time.sleep(0.01)
        return [dict(os.environ), sys.argv, sys.orig_argv]

    scene.om.scripts.put(look, "look")
    held = scene.om.runtime.script("look").run(gate=str(tmp_path / "gate"))
    eventually(lambda: held.status == "STARTED", "the start of the task")
    shown = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    (tmp_path / "gate").touch()
    found = json.dumps(held.get(60)["result"])
    store = Path(scene.om.store.url.removeprefix("sqlite:///"))
    kept = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    said = [scene.worker.said, repr(scene.om.runtime), str(scene.om.runtime.status()), repr(held), found]
    # The server of these tests is told its password in the open.
    said += [line for line in shown.splitlines() if "--requirepass" not in line]
    for secret in (SECRET, QUOTED):
        assert not [text for text in said if secret in text]
        assert secret.encode() not in kept


@pytest.mark.mongodb
def test_workers_log_in_to_a_store_by_their_own_configuration(
    redis: Redis, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store_with_a_password() as full, Omega(full, redis.url) as om:
        om.scripts.put(echo, "echo")
        worker = workers(redis.url, "--concurrency", "1")
        with pytest.raises(StoreUnavailable, match="knows no login for it"):
            om.runtime.script("echo").run(1).get(timeout=60)
        worker.close()

        (tmp_path / "omruntime.toml").write_text(f"store = '{full}'\n")
        monkeypatch.chdir(tmp_path)
        by_file = workers(redis.url, "--concurrency", "1")
        assert om.runtime.script("echo").run(1).get(timeout=60)["result"] == 1
        by_file.close()

        (tmp_path / "omruntime.toml").unlink()
        by_variable = workers(redis.url, "--concurrency", "2", env={"OMRUNTIME_STORE": full})
        tasks_reach_it(om, full, configured=True, besides=[by_variable.process.pid])
        assert PASSWORD not in worker.said + by_file.said + by_variable.said
