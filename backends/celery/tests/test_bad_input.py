"""What a user gets wrong about a broker is said: what, where, what to do; and never the password."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from celery import Celery
from omruntime_celery import OmegaRuntimeCelery
from tests.world import QUOTED, SECRET, Redis, Workers, eventually

from omruntime import Auth, Omega, virtualobj
from omruntime.errors import (
    BackendNotInstalled,
    BackendUnavailable,
    InvalidName,
    SignatureError,
    StoreUnavailable,
    VersionMismatch,
)

NOBODY = f"redis://:{QUOTED}@127.0.0.1:1/0"


@virtualobj
def echo(data: object = None, **kwargs: object) -> object:
    return data


def refused(url: str | None = None, kind: type[Exception] = BackendUnavailable, **options: Any) -> str:
    with pytest.raises(kind) as error:
        OmegaRuntimeCelery(url, **options)
    said = str(error.value)
    assert SECRET not in said
    assert QUOTED not in said
    return said


def test_a_broker_that_is_down_is_named_with_what_to_start(store_url: str) -> None:
    assert "redis://127.0.0.1:1/0" in refused(NOBODY)
    assert "start a Redis: redis-server" in refused(NOBODY)
    assert "start a RabbitMQ: rabbitmq-server" in refused("amqp://guest:guest@127.0.0.1:1//")
    assert "127.0.0.1:2" in refused(f"{NOBODY};redis://127.0.0.1:2/0")
    assert "no server of that master_name" in refused("sentinel://127.0.0.1:1;sentinel://127.0.0.1:2?master_name=m")
    assert "master_name=mymaster" in refused(f"sentinel://:{QUOTED}@127.0.0.1:1")
    assert "nosuch.invalid" in refused("redis://nosuch.invalid/0")
    assert "redis://127.0.0.1:1/0" in refused(app=Celery("theirs", broker=NOBODY, set_as_current=False))
    with Omega(store_url, f"celery+{NOBODY}") as om:
        assert SECRET not in repr(om.runtime)
        om.scripts.put(echo, "echo")
        with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1:1"):
            om.runtime.script("echo").run(1)


def test_what_listens_there_and_is_no_broker_is_found_out_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omruntime_celery.backend._CONNECT_LIMIT", 1.0)
    with closing(socket.socket()) as silent, http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web) as web:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        threading.Thread(target=web.serve_forever, daemon=True).start()
        port = silent.getsockname()[1]
        assert "not answered in time" in refused(f"redis://:{QUOTED}@127.0.0.1:{port}/0")
        assert f"127.0.0.1:{web.server_port}" in refused(f"redis://:{QUOTED}@127.0.0.1:{web.server_port}/0")
        assert "ssl_ca_certs" in refused(f"rediss://:{QUOTED}@127.0.0.1:{web.server_port}/0")
        web.shutdown()


class _Web(http.server.BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("given", ["", "another@", ":another@"])
def test_a_wrong_password_is_called_by_its_name(redis: Redis, given: str) -> None:
    assert "redis://:password@host/0" in refused(redis.address.replace(f":{QUOTED}@", given))


def test_options_that_do_not_go_together_are_refused_before_anything_is_opened() -> None:
    app = Celery("theirs", broker=NOBODY, set_as_current=False)
    assert "takes no speed" in refused(NOBODY, TypeError, speed=1)
    assert "omruntime worker" in refused(NOBODY, TypeError, workers=2)
    assert "not both" in refused(NOBODY, TypeError, app=app)
    assert "conf= beside app=" in refused(None, TypeError, app=app, conf={"timezone": "UTC"})
    assert "str is none" in refused(None, TypeError, app="theirs")
    assert "int is none" in refused(NOBODY, TypeError, conf=3)
    assert "no such setting" in refused(NOBODY, TypeError, conf={"nonsense": 1})
    assert "did you mean" in refused("celery+reddis://h", BackendNotInstalled)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--label", "a,b,c,d,e,f,g,h,i"], "8 labels"),
        (["--label", "local"], "'local'"),
        (["--label", "x" * 300], "255 bytes"),
        (["--runtime", f"celery+{NOBODY}"], "start a Redis"),
        (["--runtime", "celery+reddis://h"], "did you mean redis"),
        (["--runtime", "celery://"], "has no address"),
    ],
)
def test_a_worker_that_cannot_be_says_why_and_ends(
    redis: Redis, workers: Workers, options: list[str], said: str
) -> None:
    worker = workers(redis.url, "--concurrency", "1", *options, wait=False)
    assert worker.process.wait(60) != 0
    assert said in worker.said
    assert SECRET not in worker.said
    assert "Traceback" not in worker.said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-Q", "a,b,c,d,e,f,g,h,i"], "8 labels"),
        (["-Q", "local"], "'local'"),
        (["-Q", "x" * 300], "255 bytes"),
        (["-P", "threads"], "leave -P (--pool) away"),
    ],
)
def test_celerys_own_command_says_it_in_the_same_way(
    redis: Redis, workers: Workers, options: list[str], said: str
) -> None:
    worker = workers(redis.url, *options, module="omruntime_celery.worker", wait=False)
    assert worker.process.wait(60) != 0
    assert said in worker.said
    assert "Traceback" not in worker.said


def test_celerys_own_command_names_a_broker_that_is_down(workers: Workers) -> None:
    worker = workers(f"celery+{NOBODY}", module="omruntime_celery.worker", wait=False)
    assert worker.process.wait(60) != 0
    assert "no broker answers at redis://127.0.0.1:1/0" in worker.said
    assert SECRET not in worker.said
    assert "Traceback" not in worker.said


def test_a_label_that_no_queue_can_be_named_like_is_refused_at_the_call(om: Omega) -> None:
    om.scripts.put(echo, "echo")
    with pytest.raises(InvalidName, match="255 bytes"):
        om.runtime.require("x" * 300).script("echo").run(1)
    assert om.runtime.status()["queued"] == {}


def test_labels_of_any_characters_are_queues(om: Omega, redis: Redis, workers: Workers) -> None:
    label = "gr\u00fcn & blau/*[1] {x}:#>"
    workers(redis.url, "--label", label, "--concurrency", "1")
    om.scripts.put(echo, "echo")
    assert om.runtime.require(label).script("echo").run(7).get(60)["result"] == 7


def test_a_worker_with_another_key_or_store_refuses_and_lives(
    om: Omega, redis: Redis, workers: Workers, store_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    worker = workers(redis.url, "--label", "odd", "--concurrency", "1")
    om.scripts.put(echo, "echo")
    with Omega(store_url, redis.url, auth=Auth("mallory", "another key than theirs")) as stranger:
        call = stranger.runtime.require("odd")
        with pytest.raises(SignatureError):
            call.ping(timeout=60)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with Omega(f"sqlite:///{elsewhere}/store", redis.url) as other:
        other.scripts.put(echo, "echo")
        (elsewhere / "store").rename(elsewhere / "moved")
        with pytest.raises(StoreUnavailable):
            other.runtime.require("odd").script("echo").run(1).get(60)
        (elsewhere / "moved").rename(elsewhere / "store")
    assert om.runtime.require("odd").script("echo").run(3).get(60)["result"] == 3
    assert worker.process.poll() is None


@pytest.mark.parametrize("version", [{"WIRE": 77}, {"PYTHON": "2.7"}])
def test_a_worker_of_another_version_names_both(
    om: Omega, redis: Redis, workers: Workers, version: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers(redis.url, "--label", "odd", "--concurrency", "1")
    ((name, value),) = version.items()
    monkeypatch.setattr(f"omruntime.client.submission.{name}", value)
    with pytest.raises(VersionMismatch, match=str(value)):
        om.runtime.require("odd").ping(timeout=60)


@pytest.fixture
def mortal() -> Iterator[Redis]:
    server = Redis()
    server.start()
    yield server
    server.close()


def test_a_broker_that_is_lost_during_calls_is_said_at_once_and_the_ledger_goes_on(
    mortal: Redis, workers: Workers, store_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @virtualobj
    def hold(data: object = None, gate: str = "", **kwargs: object) -> object:
        import os
        import time

        while not os.path.exists(gate):
            time.sleep(0.01)
        return data

    gate = tmp_path_factory.mktemp("gates") / "gate"
    workers(mortal.url, "--concurrency", "1")
    with Omega(store_url, mortal.url) as om:
        om.scripts.put(hold, "hold")
        running = om.runtime.script("hold").run(5, gate=str(gate))
        eventually(lambda: running.status == "STARTED", "the start of the task")
        mortal.kill()
        known = len(list(om.session.ledger.open_tasks()))
        for call in (
            lambda: om.runtime.script("hold").run(6),
            om.runtime.ping,
            lambda: _canvas(om),
        ):
            with pytest.raises(BackendUnavailable, match=f"127.0.0.1:{mortal.port}.*check that it runs") as lost:
                call()
            assert SECRET not in str(lost.value)
        assert len(list(om.session.ledger.open_tasks())) == known
        gate.touch()
        assert running.get(60)["result"] == 5


def _canvas(om: Omega) -> None:
    with om.runtime.parallel() as crt:
        for number in range(3):
            crt.script("hold").run(number)
        crt.run()
