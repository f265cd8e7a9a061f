"""How a canvas is written and goes on: large ones, threads that share one, sends that fail, what is left behind."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from omruntime import CanvasResult, Omega, virtualobj
from omruntime.abc import Call, Space
from omruntime.errors import BackendUnavailable, CanvasError, CanvasWarning, UnknownTask
from omruntime.local.backend import LocalBackend
from omruntime.testing import capture_calls
from omruntime.worker.host import Host
from tests.worker.gates import Gate, eventually, run, value

pytestmark = pytest.mark.shared_workers


@virtualobj
def summed(data: Any = None, results: Any = None) -> Any:
    return sum(results) if data is None else data


def host_of(om: Omega) -> Host:
    return cast(LocalBackend, om.runtime.backend)._host


def test_ten_thousand_values_are_reduced(shared: Omega) -> None:
    shared.scripts.put(summed, "summed")
    with shared.runtime.mapreduce() as crt:
        for number in range(10_000):
            crt.script("summed").run(number)
        crt.script("summed").run()
        result = crt.run()
    assert value(result) == sum(range(10_000))
    assert len(result.steps()) == 10_001
    assert result.forget()


def test_threads_that_write_one_canvas_lose_no_step(shared: Omega) -> None:
    crt = shared.runtime.parallel()
    with ThreadPoolExecutor(8) as pool:
        handles = [*pool.map(lambda number: crt.script("echo").run(number), range(200))]
    result = crt.run()
    assert len({each.id for each in handles}) == 200
    assert sorted(each["result"] for each in result.get(60)) == [*range(200)]
    assert [value(each) for each in handles] == [*range(200)]


def test_one_of_two_threads_runs_a_canvas(shared: Omega) -> None:
    crt = shared.runtime.parallel()
    crt.script("echo").run(1)
    start = threading.Barrier(2)

    def run_it(_: int) -> object:
        start.wait()
        try:
            return crt.run()
        except CanvasError as exc:
            return exc

    with ThreadPoolExecutor(2) as pool:
        found = [*pool.map(run_it, range(2))]
    assert sorted(type(each).__name__ for each in found) == ["CanvasError", "CanvasResult"]


def test_a_block_that_is_entered_twice_is_left_twice(shared: Omega) -> None:
    with pytest.warns(CanvasWarning), shared.runtime.sequence() as crt, crt, crt.require("default"):
        shared.runtime.script("echo").run(1)
    # Ordinary again, though nothing was run.
    assert value(run(shared, "echo", 2)) == 2


def test_steps_that_are_captured_are_those_that_begin(om: Omega) -> None:
    with capture_calls(om.runtime, deliver=False) as calls, om.runtime.parallel() as crt:
        for number in range(2):
            with crt.sequence() as inner:
                inner.script("echo").run(number)
                inner.script("echo").run()
        result = crt.run()
    assert [call.id for call in calls] == [f"{result.id}-000000", f"{result.id}-000002"]


def test_a_canvas_that_cannot_be_sent_leaves_nothing_that_waits(om: Omega, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(id: str, calls: Sequence[Call]) -> None:
        raise BackendUnavailable("nobody is there")

    monkeypatch.setattr(om.runtime.backend, "submit_canvas", refuse)
    crt = om.runtime.sequence()
    crt.callback("echo").script("echo").run(1)
    crt.callback("echo").script("echo").run()
    with pytest.raises(BackendUnavailable, match="nobody is there"):
        crt.run()
    assert not om.store.scan(Space.LEDGER, "request:")
    assert om.runtime.result(crt.id).status == "REVOKED"
    with pytest.raises(UnknownTask):
        om.runtime.result(f"{crt.id}-000000-callback")


def test_what_could_not_be_sent_is_sent_by_a_steward(
    om: Omega, gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host = host_of(om)
    with om.runtime.sequence() as crt:
        crt.script("held").run(1, **gate.arguments)
        crt.script("echo").run("next")
        result = crt.run()
    gate.wait_for_start()
    refused = threading.Event()

    def refuse(call: Call) -> object:
        refused.set()
        raise BackendUnavailable("the broker is away")

    with monkeypatch.context() as patch:
        patch.setattr(host._outside, "forward", refuse)
        gate.open()
        refused.wait(60)
        first = result.steps()[0]
        eventually(lambda: first.ready() and caplog.records, "the failure in the log")
    assert "could not be done" in caplog.text
    # The request of the step that has ended is what tells a steward.
    (site,) = host.sites.all()
    request = site.ledger.requests([first.id])[first.id]
    end = site.ledger.state(first.id).end
    assert end is not None
    assert host._canvases.follow_for_steward(site)(first.id, request, end)
    assert value(result) == "next"
    site.ledger.clear(first.id, request, end)


def test_what_follows_may_be_done_by_many(shared: Omega) -> None:
    for kind in ("sequence", "parallel", "mapreduce"):
        with getattr(shared.runtime, kind)() as crt:
            for number in range(4):
                crt.script("echo").run(number)
            result: CanvasResult = crt.run()
        result.get(60)
        (site,) = host_of(shared).sites.all()
        conductor = host_of(shared)._canvases.conductor(site)
        for step in result.steps():
            conductor.task_ended(step.id, result.id, True, again=True)
        assert [each["result"] for each in result.getall()] == [0, 1, 2, 3]
        assert result.forget()
        assert not [key for key, _ in shared.store.scan(Space.LEDGER, "mark:")]
