"""Clients: threads, event loops and forks; schedulers that go away and come back; what is left behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client
from omruntime_dask import OmegaRuntimeDask
from tests.cluster import AUTH, World, echo, eventually

from omruntime import Omega
from omruntime.errors import BackendUnavailable, RuntimeClosed


def _clients_line_up(world: World, om: Omega, slots: int = 1) -> None:
    world.worker(slots=slots)
    eventually(om.runtime.labels, "the worker")


def test_threads_and_a_running_loop(world: World, om: Omega) -> None:
    _clients_line_up(world, om)
    with ThreadPoolExecutor(4) as pool:
        handles = list(pool.map(lambda n: om.runtime.script("echo").run(n), range(12)))
    assert [handle.get(60)["result"] for handle in handles] == list(range(12))

    async def cell() -> tuple[Any, Any]:
        awaited = await om.runtime.script("echo").run("awaited")
        with Omega(om.store.url, OmegaRuntimeDask(world.url, auth=AUTH), auth=AUTH) as second:
            return awaited["result"], second.runtime.script("echo").run("waited").get(60)["result"]

    assert asyncio.run(cell()) == ("awaited", "waited")


def test_a_view_with_another_runtime(world: World, store_url: str) -> None:
    with Omega(store_url, "local://", auth=AUTH) as om:
        om.runtime = OmegaRuntimeDask(f"http://localhost:{world.port}", auth=om.runtime.auth)
        om["other"].scripts.put(echo, "echo")
        _clients_line_up(world, om)
        assert om["other"].runtime.script("echo").run(4).get(60)["result"] == 4
        assert repr(om.runtime).startswith("<OmegaRuntimeDask: ")


def test_a_forked_child_is_told_and_ends(world: World, om: Omega) -> None:
    assert om.runtime.labels() == {}
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            om.runtime.labels()
        except RuntimeClosed as exc:
            os.write(writing, f"{type(exc).__name__}: {exc}".encode())
        finally:
            om.close()
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        assert "RuntimeClosed: this runtime belongs to the parent" in said.read()
    os.waitpid(child, 0)
    assert om.runtime.labels() == {}


def test_a_client_comes_back_after_its_dask_client_has_given_up(world: World, om: Omega) -> None:
    world.worker()
    eventually(om.runtime.labels, "the worker")
    assert om.runtime.script("echo").run(1).get(60)["result"] == 1
    backend = om.runtime.backend
    first = backend.connection._client
    first._timeout = 0.5
    before = backend.incarnation()
    world.kill_scheduler()
    eventually(lambda: first.status == "closed", "that it has given up")
    with pytest.raises(BackendUnavailable, match="Dask scheduler"):
        om.runtime.labels()
    world.start()
    eventually(lambda: _labels(om), "the worker, which has come back")
    assert backend.connection._client is not first
    assert backend.connection._client.scheduler_comm.interval == 0.001
    assert backend.incarnation() != before
    assert om.runtime.script("echo").run(2).get(60)["result"] == 2
    with om.runtime.sequence() as crt:
        crt.script("echo").run(3)
        crt.script("echo").run(4)
        assert crt.run().get(60)["result"] == 4


def _labels(om: Omega) -> object:
    try:
        return om.runtime.labels()
    except BackendUnavailable:
        return None


def test_a_scheduler_that_is_back_is_waited_for(world: World, om: Omega, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def backoff(low: float, high: float) -> float:
        failed.set()
        return 3.0

    monkeypatch.setattr("distributed.comm.core.random", SimpleNamespace(uniform=backoff))
    backend = om.runtime.backend
    before = backend.incarnation()
    world.kill_scheduler()
    assert failed.wait(60)
    with pytest.raises(BackendUnavailable, match="Dask scheduler"):
        om.runtime.labels()
    world.start()
    assert om.runtime.labels() == {}
    assert backend._identity()["id"] != before


def test_a_client_that_looks_for_its_scheduler_is_closed_in_silence(
    world: World, om: Omega, capfd: pytest.CaptureFixture[str]
) -> None:
    client = om.runtime.backend.connection._client
    world.kill_scheduler()
    eventually(lambda: client._connecting_to_scheduler, "that it looks for its scheduler")
    om.close()
    assert capfd.readouterr().err == ""


def test_a_canvas_is_told_of_by_the_next_scheduler_too(world: World, om: Omega) -> None:
    def told() -> Any:
        with om.runtime.parallel() as crt:
            crt.script("echo").run(3)
            crt.script("echo").run(4)
            return crt.run()

    world.worker()
    eventually(om.runtime.labels, "the worker")
    assert len(told().get(60)) == 2
    world.kill_scheduler()
    world.start()
    eventually(lambda: _labels(om), "the worker, which has come back")
    assert len(told().get(60)) == 2
    backend = om.runtime.backend

    with Client(world.tcp, set_as_default=False) as client:
        assert client.run_on_scheduler(_subscribers, topic=backend.mailbox) == [backend.client.id]


def _subscribers(dask_scheduler: Any, topic: str) -> list[str]:
    return sorted(dask_scheduler._broker._topics[topic].subscribers)


def test_a_clean_close_says_nothing(world: World, store_url: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfrom omruntime import Omega\nfrom omruntime_dask import OmegaRuntimeDask\n"
        "om = Omega(sys.argv[1], OmegaRuntimeDask(sys.argv[2]))\n"
        "assert om.runtime.ping(timeout=60)\n"
        "om.runtime.ping()\n"
        "if sys.argv[3] == 'close':\n    om.close()\n"
    )
    world.worker()
    with Omega(store_url, world.url, auth=AUTH) as om:
        eventually(om.runtime.labels, "the worker")
    for how in ("close", "exit"):
        done = subprocess.run(
            [sys.executable, str(program), store_url, world.url, how],
            env=world.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == ("", "")
