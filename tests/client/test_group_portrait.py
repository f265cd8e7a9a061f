"""Pictures of groups and of mapped notebooks: each task with its state, and the first error."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from omruntime import GroupResult, Omega, OmegaRuntimeLocal
from omruntime.client.submission import submit_now
from omruntime.errors import JobError, UnknownTask
from omruntime.pictures import Node, Picture, Text, Tree, pictured
from tests.worker.gates import Gate


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictured, "PATIENCE", 60.0)


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory, secluded: None) -> Iterator[Omega]:
    made = Omega(f"sqlite:///{tmp_path_factory.mktemp('notebooks')}/store", OmegaRuntimeLocal(workers=1))
    made.jobs.create("assert job['param'] != 'bad', '<b>it is bad</b>'", "n")
    yield made
    made.close(wait=False)


def nodes(picture: Picture) -> Sequence[Node]:
    drawn = picture.sections[0]
    assert isinstance(drawn, Tree)
    return drawn.nodes


def test_a_group_shows_its_tasks_while_they_run_and_after(om: Omega, gate: Gate) -> None:
    crt = om.runtime.parallel()
    crt.script("held").run(1, **gate.arguments)
    crt.script("fails").run("reason")
    result = crt.run()
    gate.wait_for_start()
    (group,) = result.collect()
    assert isinstance(group, GroupResult)
    shown = group._picture()
    assert (shown.title, shown.facts[0]) == ("group", ("id", group.id))
    first = nodes(shown)[0]
    assert (first.label, first.status) == ("script.run held", "STARTED")
    gate.open()
    assert isinstance(result.future().exception(60), ValueError)
    shown = group._picture()
    assert (shown.status, dict(shown.facts)["tasks"]) == ("FAILURE", "2: 1 SUCCESS, 1 FAILURE")
    assert " on local@" in nodes(shown)[0].note
    error = shown.sections[1]
    assert isinstance(error, Text)
    assert (error.title, error.text, error.bad) == ("error of script.run fails", "ValueError: reason", True)
    group[0].forget()
    assert [node.status for node in nodes(group._picture())] == ["", "FAILURE"]


def test_an_empty_group_has_a_picture() -> None:
    assert GroupResult("an-id", [])._picture().facts[1] == ("tasks", "0")


@pytest.mark.shared_workers
def test_a_mapped_notebook_shows_its_tasks_and_what_went_wrong(
    notebooks: Omega, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = notebooks.runtime.job("n").map(["good", "bad"], job_ids=["a", "b"], task_group="g")
    with pytest.raises(JobError):
        tasks.get(60)
    again = notebooks.runtime.job("n").list("g")
    for each in (tasks, again):
        shown = each._picture()
        assert (shown.title, shown.what, shown.status) == ("n", "mapped notebook", "FAILURE")
        assert list(shown.facts) == [("group", "g"), ("tasks", "2: 1 SUCCESS, 1 FAILURE")]
        assert [(node.label, node.status) for node in nodes(shown)] == [("g-a", "SUCCESS"), ("g-b", "FAILURE")]
        html = each._repr_html_()
        assert "error of g-b" in html
        assert "<b>" not in html
    tasks.show()
    assert "✗ FAILURE  n  mapped notebook" in capsys.readouterr().out
    assert [handle.status for handle in again.collect()] == ["SUCCESS", "FAILURE"]
    for handle in tasks.collect():
        handle.forget()
    assert [node.status for node in nodes(tasks._picture())] == ["SUCCESS", "FAILURE"]


@pytest.mark.shared_workers
def test_tasks_go_to_other_processes_as_the_list_that_they_are(notebooks: Omega) -> None:
    notebooks.runtime.job("n").map(["good"], task_group="pickled").get(60)
    tasks = notebooks.runtime.job("n").list("pickled")
    same = pickle.loads(pickle.dumps(tasks))
    assert type(same) is list
    assert [meta.name for meta in same] == [meta.name for meta in tasks]


@pytest.mark.shared_workers
def test_a_task_that_was_never_sent_is_shown_and_has_no_handle(
    notebooks: Omega, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if args[2].endswith("-1.ipynb"):
            raise KeyboardInterrupt
        return submit_now(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr("omruntime.client.jobs.submit_now", interrupted)
        with pytest.raises(KeyboardInterrupt):
            notebooks.runtime.job("n").map([1, 2], task_group="unsent")
    tasks = notebooks.runtime.job("n").list("unsent")
    assert nodes(tasks._picture())[1].status == "UNSENT"
    with pytest.raises(UnknownTask):
        tasks.collect()


@pytest.mark.shared_workers
def test_a_notebook_shows_its_runs_and_a_copy_how_it_went(notebooks: Omega) -> None:
    notebooks.jobs.create("assert job['param'] != 'bad', '<b>it is bad</b>'", "runs")
    good, bad = notebooks.runtime.job("runs").run(1), notebooks.runtime.job("runs").run("bad")
    copy = good.get(60)
    assert isinstance(bad.future().exception(60), JobError)
    shown = copy._picture()
    assert (shown.title, shown.what, shown.status) == (copy.name, "executed notebook", "SUCCESS")
    value = good._picture().sections[0]
    assert value.title == f"value: executed notebook {copy.name}"
    failed = notebooks.jobs.metadata(bad.result.results)._picture()
    assert failed.status == "FAILURE"
    assert "it is bad" in failed.sections[0].text  # type: ignore[union-attr]
    listed = notebooks.jobs.metadata("runs")._picture().sections[-1]
    assert listed.title == "runs, 2, the latest first"
    assert [row[1] for row in listed.rows] == ["FAILURE", "SUCCESS"]  # type: ignore[union-attr]
