"""A worker takes no call that would wait behind a task of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.world import LIMIT, Redis, Workers, eventually

from omruntime import Omega, virtualobj

SOON = 20.0
"""Seconds; less than those after which somebody sends again what nobody has claimed."""


@virtualobj
def leaf(data: Any = None) -> Any:
    """Do nothing."""
    return data


@virtualobj
def parent(data: Any = None, om: Any = None) -> None:
    """Wait for a task, say so, and go on until there is a file."""
    import time
    from pathlib import Path

    place = Path(data)
    om.runtime.script("leaf").run(1).get()
    (place / "goes-on").touch()
    limit = time.monotonic() + 120
    while not (place / "over").exists() and time.monotonic() < limit:
        time.sleep(0.01)


def test_what_is_sent_when_a_task_has_waited_goes_to_the_worker_that_is_free(
    redis: Redis, om: Omega, workers: Workers, tmp_path: Path
) -> None:
    for _ in range(2):
        workers(redis.url, "--concurrency", "1", env={"OMRUNTIME_LEASE": "60"})
    om.scripts.put(leaf, "leaf")
    om.scripts.put(parent, "parent")
    waits = om.runtime.script("parent").run(str(tmp_path))
    eventually((tmp_path / "goes-on").exists, "the parent goes on")
    # For longer than the second for which a Redis is asked for a call.
    for number in range(400):
        assert om.runtime.script("leaf").run(number).get(SOON)["result"] == number
    (tmp_path / "over").touch()
    waits.get(LIMIT)
