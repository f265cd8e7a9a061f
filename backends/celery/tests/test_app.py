"""A Celery app of the user's: used as it is, not changed, and its own workers go on beside ours."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from omruntime_celery import OmegaRuntimeCelery
from omruntime_celery.backend import CeleryBackend
from omruntime_celery.worker import worker_app
from tests.world import Redis, Workers, eventually

from omruntime import Auth, Omega, virtualobj
from omruntime.errors import UnsupportedCapability

SETTINGS = """
task_serializer = "json"
task_default_queue = "media"
task_default_exchange = "media"
task_default_exchange_type = "topic"
task_queue_max_priority = 10
task_routes = {"*": {"queue": "video"}}
broker_transport_options = {"global_keyprefix": "theirs:", "visibility_timeout": 1, "priority_steps": [0, 5]}
broker_pool_limit = 1
worker_prefetch_multiplier = 7
"""


@virtualobj
def echo(data: object = None, **kwargs: object) -> object:
    return data


@pytest.fixture
def module(redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A project's module with its app and a task, and one with the app of its workers of omruntime."""
    where = f"broker_url = 'redis://127.0.0.1:1/0;{redis.address}'\nresult_backend = '{redis.address}'"
    (tmp_path / "settings_of_theirs.py").write_text(where + SETTINGS)
    (tmp_path / "theirs.py").write_text(
        "from celery import Celery\n"
        "app = Celery('theirs', set_as_current=False)\n"
        "app.config_from_object('settings_of_theirs')\n"
        "@app.task(shared=False)\n"
        "def add(a, b):\n"
        "    return a + b\n"
    )
    (tmp_path / "theirs_for_omruntime.py").write_text(
        "from omruntime_celery.worker import worker_app\nfrom theirs import app as theirs\napp = worker_app(theirs)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    import theirs  # type: ignore[import-not-found]

    yield theirs
    import sys

    for name in ("theirs", "settings_of_theirs"):
        del sys.modules[name]


def state_of(app: Celery) -> list[Any]:
    steps = {kind: set(those) for kind, those in app.steps.items()}
    queues = {name: repr(queue) for name, queue in app.amqp.queues.items()}
    return [copy.deepcopy(dict(app.conf.changes)), dict(app.tasks), steps, queues, app._pool, app.amqp._producer_pool]


def test_their_tasks_and_ours_run_side_by_side_on_what_their_app_says(
    module: Any, workers: Workers, store_url: str, redis: Redis
) -> None:
    app = module.app
    app.finalize()
    before = state_of(app)
    theirs = workers(redis.url, "-P", "solo", "-Q", "video", module="theirs", wait=False)
    workers(redis.url, "-c", "1", "-Q", "video,default", module="theirs_for_omruntime", wait=False)
    with Omega(store_url, OmegaRuntimeCelery(app=app)) as om:
        om.scripts.put(echo, "echo")
        eventually(om.runtime.labels, "a worker")
        for label in ("default", "video", "video,default"):
            assert om.runtime.require(label).script("echo").run(label).get(60)["result"] == label
        with om.runtime.mapreduce() as crt:
            for number in range(5):
                crt.script("echo").run(number)
            crt.script("echo").run()
            result = crt.run()
        result.get(60)
        assert set(map(tuple, om.runtime.labels().values())) == {("default", "video")}
        assert state_of(app) == before
    assert state_of(app) == before
    assert module.add.delay(2, 3).get(timeout=60) == 5
    assert "Traceback" not in theirs.said, "their workers are asked nothing that they do not know"
    with redis_of(redis) as client:
        assert not [key for key in client.scan_iter() if b"omruntime" in key and not key.startswith(b"theirs:")]
    app.pool.force_close_all()
    app.backend.close() if hasattr(app.backend, "close") else None


def redis_of(redis: Redis) -> Any:
    import redis as redis_client

    return redis_client.Redis.from_url(redis.address)


def test_an_app_for_workers_connects_like_theirs_and_has_nothing_else_of_it(module: Any) -> None:
    before = state_of(module.app)
    made = worker_app(module.app)
    assert state_of(module.app) == before
    assert made.conf.broker_transport_options == module.app.conf.broker_transport_options
    assert made.connection_for_read().as_uri() == module.app.connection_for_read().as_uri()
    assert "theirs.add" not in made.tasks
    assert made.conf.result_backend is None
    assert made.conf.worker_prefetch_multiplier == 1


def test_their_app_does_not_become_a_worker_of_ours_without_being_asked(redis: Redis) -> None:
    import threading

    app = Celery("theirs", broker=redis.address, set_as_current=False)
    app.finalize()
    before = state_of(app)
    backend = CeleryBackend.open(redis.url, auth=Auth("me", "of no use"), app=app)
    with pytest.raises(UnsupportedCapability, match="worker_app"):
        backend.work(None, threading.Event())  # type: ignore[arg-type]
    backend.close()
    assert state_of(app) == before


def key_of(user: str) -> Auth:
    return Auth(user, f"the key of {user} alone")


def test_two_runtimes_on_one_broker_with_keys_of_their_own(redis: Redis, workers: Workers, tmp_path: Path) -> None:
    for user in ("ann", "bob"):
        workers(redis.url, "--label", user, "--concurrency", "1", env={"OMRUNTIME_KEY": f"the key of {user} alone"})
    opened = [Omega(f"sqlite:///{tmp_path}/{user}", auth=key_of(user)) for user in ("ann", "bob")]
    for om in opened:
        om.runtime = OmegaRuntimeCelery(redis.url, auth=om.session.auth)
        om.scripts.put(echo, "echo")
    try:
        for om, user in zip(opened, ("ann", "bob"), strict=True):
            assert om.runtime.require(user).script("echo").run(user).get(60)["result"] == user
        opened[0].close()
        assert opened[1].runtime.require("bob").script("echo").run("still").get(60)["result"] == "still"
    finally:
        for om in opened:
            om.close()
