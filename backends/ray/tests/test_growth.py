"""Nothing is left of what is over: not in the office, nor in the hosts' actors, nor in the client."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import ray
from omruntime_ray.office import OFFICE
from tests.ray_world import eventually

from benchmarks.tasks import noop
from omruntime import Omega

FEW, MANY = 200, 800
AT_MOST = 0.2
"""Objects more for each task that is over: far less than anything that is kept for each would be."""
TO_A_HOST, BY_THE_OFFICE = {"default": 1}, {"default": 1, "default,gpu": 1}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("pool", [TO_A_HOST, BY_THE_OFFICE], ids=["to a host", "by the office"])
def test_nothing_of_800_tasks_is_left(om: Omega, url: str, pool: dict[str, int]) -> None:
    om.runtime.scale(pool)
    om.scripts.put(noop, "noop")
    namespace = url.rpartition("/")[2]
    _run(om, FEW)
    few = _objects(namespace)
    _run(om, MANY)
    # What is over is let go of a moment later, and now and then more than a minute.
    eventually(lambda: not _grown(few, _objects(namespace)), "that as few objects are left as before", 240)


def _grown(few: dict[str, int], many: dict[str, int]) -> dict[str, int]:
    assert few.keys() == many.keys()
    return {name: count - few[name] for name, count in many.items() if count - few[name] > AT_MOST * MANY}


def _run(om: Omega, count: int) -> None:
    """Run so many tasks: half of them each for itself, half of them in a canvas."""
    script = om.runtime.script("noop")
    for _ in range(count // 20):
        for handle in [script.run(1) for _ in range(10)]:
            handle.get(timeout=60)
    with om.runtime.parallel() as crt:
        for _ in range(count // 2):
            crt.script("noop").run(1)
        assert len(crt.run().get(60)) == count // 2


def _objects(namespace: str) -> dict[str, int]:
    """Return how many objects there are in each actor, and here; and to how many of Ray's objects this one refers."""

    def counted(actor: Any) -> int:
        import gc

        gc.collect()
        return len(gc.get_objects())

    names = [
        each["name"] for each in ray.util.list_named_actors(all_namespaces=True) if each["namespace"] == namespace
    ]
    assert OFFICE in names
    there = {name: ray.get(ray.get_actor(name, namespace).__ray_call__.remote(counted)) for name in names}
    gc.collect()
    references = ray._private.worker.global_worker.core_worker.get_all_reference_counts()
    return {**there, "client": len(gc.get_objects()), "references of the client": len(references)}
