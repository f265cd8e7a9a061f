"""How calls get to the scheduler: what comes in one moment goes together, and nothing is left behind."""

from __future__ import annotations

import time
from typing import Any

from distributed import Client
from tests.cluster import AUTH, World, eventually

from omruntime import Omega


def _graphs(client: Client) -> int:
    """Return how many graphs the scheduler has been sent."""
    return sum(event["action"] == "update-graph" for _, event in client.get_events("scheduler") if "action" in event)


def _hold(backend: Any) -> None:
    """Have calls wait, as if a graph had just been sent, and the moment were long."""
    backend._sending._next = time.monotonic() + 3600


def _let_go(backend: Any) -> None:
    backend.client.loop.add_callback(backend._sending.flush)


def test_calls_of_one_moment_are_one_graph_for_each_label(world: World, om: Omega) -> None:
    world.worker(slots=2)
    eventually(om.runtime.labels, "the worker")
    script: Any = om.runtime.script("echo")
    backend = om.runtime.backend
    client = backend.client
    assert script.run(0).get(60)["result"] == 0
    before = _graphs(client)
    _hold(backend)
    handles = [script.run(number) for number in range(20)]
    other = om.runtime.require("gpu").script("echo").run("gpu")
    _let_go(backend)
    assert [handle.get(60)["result"] for handle in handles] == list(range(20))
    assert _graphs(client) == before + 2
    world.worker("gpu")
    eventually(lambda: ["gpu"] in om.runtime.labels().values(), "the other worker")
    assert other.get(60)["result"] == "gpu"


def test_calls_of_many_bytes_are_several_graphs(world: World, om: Omega) -> None:
    world.worker(slots=2)
    eventually(om.runtime.labels, "the worker")
    backend = om.runtime.backend
    client = backend.client
    _hold(backend)
    # Below the size from which a value lies in the store, and together beyond what Dask warns of.
    handles = [om.runtime.script("echo").run(bytes([number % 256]) * 10_000) for number in range(1_200)]
    _let_go(backend)
    assert [handle.get(120)["result"][0] for handle in handles] == [number % 256 for number in range(1_200)]
    assert _graphs(client) > 10


def test_what_was_submitted_goes_before_the_client_does(world: World, om: Omega) -> None:
    with Omega(om.store.url, world.url, auth=AUTH) as leaving:
        _hold(leaving.runtime.backend)
        handle = leaving.runtime.script("echo").run("left behind")
    eventually(lambda: om.runtime.backend.client.run_on_scheduler(_tasks), "that the scheduler has it")
    world.worker()
    assert om.runtime.result(handle.id).get(60)["result"] == "left behind"


def _tasks(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)
