"""Nothing is left of what is over: not in the scheduler, nor in workers, nor in the client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from distributed.utils import key_split
from omruntime_dask.names import is_key, key_of
from tests.cluster import AUTH, World, eventually

from benchmarks.growth import Kept, kept, some_tasks
from benchmarks.tasks import noop
from omruntime import Omega

GONE = ("tasks", "data", "held", "futures", "expected")
BY_THE_PRELOAD = ("spans", "groups of spans", "metrics")
ACTIVITIES = 20
"""Of which Dask has times, for each kind of task; not all of them are seen with the first tasks."""
GROW = ("MB", "events", "transitions", "computations")
"""These have a limit of their own, which so few tasks do not reach."""


@pytest.mark.parametrize("name", ["model.fit clf", "model.fit a-name-of-words", "script.run -", "job.run a (b)-c"])
def test_keys_begin_with_the_action_and_show_the_name(name: str) -> None:
    key = key_of(name)
    action, _, of = name.partition(" ")
    assert key_split(key) == action
    assert of in key
    assert is_key(key)
    assert key != key_of(name)


@pytest.mark.parametrize("key", ["inc-0123456789abcdef0123456789abcdef", "x", ("x", 1), "f-(x)-1"])
def test_keys_of_others(key: object) -> None:
    assert not is_key(key)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("preload", [(), ("--preload", "omruntime_dask.scheduler")])
def test_nothing_of_300_tasks_is_left(tmp_path: Path, store_url: str, preload: tuple[str, ...]) -> None:
    world = World(tmp_path)
    try:
        world.start(*preload)
        world.worker()
        with (
            Omega(store_url, world.url, auth=AUTH) as om,
            Client(world.tcp, set_as_default=False) as client,
        ):
            eventually(om.runtime.labels, "the worker")
            om.scripts.put(noop, "noop")
            few = _after(om, client, 20, 0)
            many = _after(om, client, 300, 20)
    finally:
        world.close()
    alone = () if preload else BY_THE_PRELOAD
    more = {name.split(": ")[1]: many[name] - few[name] for name in many if many[name] > few[name]}
    assert more.pop("metrics", 0) < ACTIVITIES or not preload
    assert set(more) <= {*GROW, *alone}
    assert [name for name in many if many[name] and name.split(": ")[1] in GONE] == []


def _after(om: Omega, client: Any, count: int, before: int) -> Kept:
    some_tasks(om, count, before)
    with om.runtime.parallel() as crt:
        for _ in range(count):
            crt.script("noop").run(1)
        assert len(crt.run().get(60)) == count
    eventually(lambda: not kept(om, client)["client: futures"], "that the client has forgotten them")
    eventually(lambda: not kept(om, client)["scheduler: tasks"], "that the scheduler has forgotten them")
    eventually(lambda: not kept(om, client)["workers: tasks"], "that the workers have forgotten them")
    return kept(om, client)
