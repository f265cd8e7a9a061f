"""What the client makes of a notebook that is mapped: tasks, their groups, their states, and what is sent again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nbformat
import pandas as pd
import pytest

from omruntime import Omega, OmegaJobProxy, OmegaRuntimeLocal
from omruntime.abc import Call
from omruntime.client.mapped import NEVER_SENT
from omruntime.client.submission import submit_now
from omruntime.errors import CanvasError, InvalidName, JobError, ObjectNotFound, ResultTimeout, SerializationError
from omruntime.testing import capture_calls
from omruntime.wire import unpack_value
from omruntime.wire.envelope import peek_call


@pytest.fixture
def om(store_url: str) -> Iterator[Omega]:
    made = Omega(store_url, OmegaRuntimeLocal(workers=1))
    made.jobs.create("assert job['param'] != 'fails'", "n")
    yield made
    made.close(wait=False)


@pytest.fixture
def job(om: Omega) -> OmegaJobProxy:
    return om.runtime.job("n")


@pytest.fixture
def calls(om: Omega) -> Iterator[list[Call]]:
    """Calls that are recorded and never run."""
    with capture_calls(om.runtime, deliver=False) as found:
        yield found


def request_of(om: Omega, call: Call) -> Any:
    header = peek_call(call.payload)
    return unpack_value(header.parts, call.payload[1:], om.store)


def test_a_run_says_what_it_was_called_with(om: Omega, job: OmegaJobProxy, calls: list[Call]) -> None:
    job.run(1, "two", timeout=5, alpha=0.5)
    (call,) = calls
    header = peek_call(call.payload)
    assert (header.kind, header.name, header.action, header.timeout) == ("job", "n", "run", 5.0)
    assert request_of(om, call) == {"args": [1, "two"], "params": {"alpha": 0.5}, "given": {}}
    assert om.runtime.requirements.timeout is None


def test_a_label_that_is_stored_with_a_notebook_is_that_of_its_runs_and_tasks(
    om: Omega, job: OmegaJobProxy, calls: list[Call]
) -> None:
    meta = om.jobs.metadata("n")
    meta.attributes["require"] = {"label": "gpu"}
    meta.save()
    job.run()
    job.map([1])
    om.runtime.require("cpu").job("n").run()
    assert [call.label for call in calls] == ["gpu", "gpu", "cpu"]


def test_every_parameter_gets_a_notebook_and_a_call(om: Omega, job: OmegaJobProxy, calls: list[Call]) -> None:
    frame = pd.DataFrame({"x": [1]})
    tasks = job.map([1, {"alpha": 2, 3: "not a name"}, frame])
    group = tasks[0].attributes["task_group"]
    assert len(group) == 8
    assert int(group, 16) >= 0
    assert [meta.name for meta in tasks] == [f"tasks/n/{group}-{number}.ipynb" for number in range(3)]
    requests = [request_of(om, call) for call in calls]
    assert [each["params"] for each in requests] == [{}, {"alpha": 2}, {}]
    assert requests[1]["args"] == [{"alpha": 2, 3: "not a name"}]
    pd.testing.assert_frame_equal(requests[2]["args"][0], frame)
    assert [handle.id for handle in tasks.collect()] == [call.id for call in calls]
    assert {om.jobs.get(meta).cells[0].source for meta in tasks} == {om.jobs.get("n").cells[0].source}
    assert om.datasets.list() == []


def test_a_parameter_that_cannot_be_stored_sends_nothing(om: Omega, job: OmegaJobProxy, calls: list[Call]) -> None:
    with pytest.raises(SerializationError):
        job.map([1, (n for n in "ab")])
    assert calls == []
    assert job.list() == []
    assert om.datasets.list(".*") == []


def test_ids_and_groups_are_checked(job: OmegaJobProxy, calls: list[Call]) -> None:
    for ids in (["a"], ["a", "a"], ["a", "b", "c"]):
        with pytest.raises(ValueError, match="job_ids"):
            job.map([1, 2], job_ids=ids)
    for wrong in ("a/b", "", "a[b]"):
        with pytest.raises(InvalidName):
            job.map([1], task_group=wrong)
        with pytest.raises(InvalidName):
            job.map([1], job_ids=[wrong])
    assert calls == []
    job.map([1, 2], task_group="g")
    with pytest.raises(ValueError, match="1 already"):
        job.map([1], job_ids=[1], task_group="g")
    job.map([3], job_ids=["three"], task_group="g")
    assert [meta.name for meta in job.list("g")] == [f"tasks/n/g-{id}.ipynb" for id in ("0", "1", "three")]
    assert job.map([]) == []
    assert job.list("no such group") == []


def test_a_notebook_that_is_not_there_is_told_by_all(om: Omega, calls: list[Call]) -> None:
    job = om.runtime.job("m")
    for call in (job.run, lambda: job.map([1]), job.list, job.status, job.restart):
        with pytest.raises(ObjectNotFound, match=r"did you mean|om\.jobs"):
            call()
    assert calls == []


def test_what_was_interrupted_before_it_was_sent_is_sent_by_restart(
    om: Omega, job: OmegaJobProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if args[2].endswith("-1.ipynb"):
            raise KeyboardInterrupt
        return submit_now(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("omruntime.client.jobs.submit_now", interrupted)
        with pytest.raises(KeyboardInterrupt):
            job.map(["one", "two", "three"])
    status = job.status()
    assert status["status"].tolist()[1:] == [NEVER_SENT, NEVER_SENT]
    assert status["run_status"].tolist()[1:] == ["unknown", "unknown"]
    again = job.restart()
    assert [meta.name for meta in again] == status["name"].tolist()[1:]
    assert len(again.get(60)) == 2


def test_of_two_who_restart_at_once_one_sends(om: Omega, job: OmegaJobProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    (handle,) = job.map(["fails"]).collect()
    with pytest.raises(JobError):
        handle.get(60)
    read = om.datasets.get
    others: list[Any] = []

    def meanwhile(name: Any, **options: Any) -> Any:
        if not others:
            others.append([])
            others[0] = om.runtime.job("n").restart()
        return read(name, **options)

    with capture_calls(om.runtime, deliver=False) as calls, monkeypatch.context() as patch:
        patch.setattr(om.datasets, "get", meanwhile)
        assert job.restart() == []
    assert len(others[0]) == len(calls) == 1


def test_what_became_of_tasks_is_known_when_their_records_are_gone(
    om: Omega, job: OmegaJobProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = job.map(["works", "fails"], job_ids=["w", "f"])
    with pytest.raises(JobError):
        tasks.get(60)
    tasks.progress()
    assert "2 of 2, 1 failed" in capsys.readouterr().err
    for handle in tasks.collect():
        assert handle.forget()
    assert job.status()["status"].tolist() == ["SUCCESS", "FAILURE"]
    assert job.status()["run_status"].tolist() == ["OK", "ERROR"]
    om.jobs.put(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(job['param'])")]), "n")
    again = job.restart()
    assert [meta.name for meta in again] == [tasks[1].name]
    (copy,) = again.get(60)
    assert om.jobs.get(copy).cells[0].outputs[0].text == "fails\n"
    assert set(job.status()["run_status"]) == {"OK"}


def test_waiting_for_tasks_has_an_end(om: Omega) -> None:
    job = om.runtime.require("nobody-has-it").job("n")
    tasks = job.map([1, 2])
    with pytest.raises(ResultTimeout):
        tasks.get(timeout=0.01)
    assert job.status()["status"].tolist() == ["PENDING", "PENDING"]
    assert job.restart() == []


def test_a_canvas_takes_runs_as_steps_and_no_maps(om: Omega, job: OmegaJobProxy) -> None:
    with om.runtime.sequence() as crt:
        for each in (job, crt.job("n")):
            with pytest.raises(CanvasError, match="run"):
                each.map([1])
            with pytest.raises(CanvasError, match="run"):
                each.restart()
        crt.job("n").run("works")
        result = crt.run()
    assert result.get(60).name.startswith("results/n_")
    assert job.list() == []
