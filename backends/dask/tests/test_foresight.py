"""Calls that are brought before their slots are free, and what becomes of them behind a long task."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from omruntime_dask.foresight import _ENOUGH, _LONG, Foresight
from tests.cluster import World, eventually

from omruntime import Omega


class _State:
    nthreads = 2


def _seen(*notes: float, oldest: float | None = None) -> tuple[int, int, int]:
    """Return how many calls are held after tasks of so many seconds, and after a look, and what was given back."""
    state, given = _State(), []

    async def world() -> int:
        loop = asyncio.get_running_loop()
        since = None if oldest is None else loop.time() - oldest
        foresight = Foresight(state, loop, lambda: since, lambda: given.append(1))
        for seconds in notes:
            foresight.note(seconds)
        held = state.nthreads
        if oldest is not None:
            foresight._look_after()
        then = state.nthreads
        foresight.close()
        assert state.nthreads == 2
        return held * 10 + then

    held, then = divmod(asyncio.run(world()), 10)
    return held, then, len(given)


def test_two_calls_for_each_slot_after_enough_short_tasks() -> None:
    enough = [0.001] * _ENOUGH * 2
    assert _seen(*enough)[0] == 4
    assert _seen(*enough[:-1])[0] == 2
    assert _seen(*enough[:-1], 1.0, 0.001)[0] == 2


def test_what_waits_behind_a_long_task_is_given_back() -> None:
    enough = [0.001] * _ENOUGH * 2
    assert _seen(*enough, oldest=_LONG * 1.1) == (4, 2, 1)
    assert _seen(*enough, oldest=_LONG / 10) == (4, 4, 0)


def test_a_short_task_behind_a_long_one_runs_on_another_worker(world: World, om: Omega, tmp_path: Path) -> None:
    for _ in range(2):
        world.worker()
    eventually(lambda: len(om.runtime.workers()) == 2, "two workers")
    client, script = om.runtime.backend.client, om.runtime.script("echo")

    def both_look_ahead() -> bool:
        for handle in [script.run(number) for number in range(60)]:
            handle.get(60)
        threads: dict[str, Any] = client.run(lambda dask_worker: dask_worker.state.nthreads)
        return set(threads.values()) == {2}

    eventually(both_look_ahead, "that both have had enough short tasks")
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    long = script.run("long", gate=str(gate), begun=str(begun))
    short = [script.run(number) for number in range(10)]
    assert [handle.get(60)["result"] for handle in short] == list(range(10))
    eventually(begun.exists, "that the long one has begun")
    assert long.status == "STARTED"
    gate.touch()
    assert long.get(60)["result"] == "long"
