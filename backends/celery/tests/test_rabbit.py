"""What is RabbitMQ's own: it dies whole, and keeps what it has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omruntime_celery.servers import RabbitServer, system_program
from tests.world import LIMIT, Workers, eventually

from omruntime import Omega, virtualobj

pytestmark = pytest.mark.skipif(
    system_program("rabbitmq-server") is None, reason="not exercised: rabbitmq-server is not installed"
)


@virtualobj
def echo(data: Any = None, **kwargs: Any) -> Any:
    return data


@pytest.fixture
def rabbit() -> Iterator[RabbitServer]:
    server = RabbitServer()
    server.start()
    yield server
    server.close()


def _of(root: Path) -> set[int]:
    """Return the processes that work in a directory, or were told of it."""
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            told = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(root) in told and int(place.name) != os.getpid():
            found.add(int(place.name))
    return found


def test_what_was_sent_is_there_after_a_restart_and_runs_once(
    rabbit: RabbitServer, workers: Workers, store_url: str
) -> None:
    with Omega(store_url, rabbit.url) as om:
        om.scripts.put(echo, "echo")
        results = [om.runtime.script("echo").run(number) for number in range(20)]
        rabbit.kill()
        rabbit.start()
        environment = {"OMRUNTIME_STORE": store_url, "OMRUNTIME_LEASE": "1"}
        workers(rabbit.url, "--concurrency", "1", env=environment)
        assert [each.get(timeout=LIMIT)["result"] for each in results] == list(range(20))
        assert len(om.runtime.labels()) == 1


def test_a_server_that_was_killed_leaves_no_process() -> None:
    server = RabbitServer()
    try:
        server.start()
        assert _of(server.root)
        server.kill()
        eventually(lambda: not _of(server.root), "the end of all that it has started, a port mapper included")
    finally:
        server.close()
    assert not server.root.exists()
