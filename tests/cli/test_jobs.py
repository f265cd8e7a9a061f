"""run job, jobs and restart: notebooks from the command line, and what is told of their runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from omruntime import Omega, OmegaRuntimeLocal
from omruntime.errors import JobError
from tests.cli.commands import omruntime
from tests.cli.test_run import _id
from tests.worker.gates import eventually

SOURCE = """\
alpha = alpha if 'alpha' in globals() else 0
assert job['param'] != 'bad', 'it is bad'
print('alpha', alpha, job['args'])
"""


@pytest.fixture(scope="module")
def mapped(store: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bucket of a notebook ``n`` that was mapped to three tasks of group ``g``, one of which has failed."""
    source = tmp_path_factory.mktemp("source") / "n.py"
    source.write_text(SOURCE)
    assert omruntime("put", "jobs", "n", str(source), "--bucket", "mapped").code == 0
    with Omega(bucket="mapped", runtime=OmegaRuntimeLocal(workers=2)) as om, pytest.raises(JobError):
        om.runtime.job("n").map(["good", "bad", 3], task_group="g").get(100)
    return "mapped"


def test_a_notebook_runs_and_its_value_is_the_executed_copy(store: str, mapped: str) -> None:
    words = ("run", "job", "n", "first", "2", "-p", "alpha=0.5", "--bucket", mapped)
    ran = omruntime(*words)
    assert ran.code == 0, ran.err
    task = _id(ran.err)
    assert omruntime("logs", task).out == "alpha 0.5 ['first', 2]\n"
    copy = omruntime("result", task, "--json").json["value"]
    assert copy["name"].startswith("results/n_")
    assert copy["name"] in ran.out
    newest = omruntime("jobs", "n", "--bucket", mapped, "--json").json["runs"][0]
    assert (newest["id"], newest["status"], newest["results"]) == (task, "SUCCESS", copy["name"])


def test_a_cell_that_fails_is_shown_with_its_copy_and_gives_the_code(store: str, mapped: str) -> None:
    ran = omruntime("run", "job", "n", "bad", "--param", "alpha=1", "--bucket", mapped)
    assert (ran.code, ran.out) == (1, "")
    assert "AssertionError: it is bad" in ran.err
    assert "results/n_" in ran.err
    answer = omruntime("run", "job", "n", "bad", "--bucket", mapped, "--json")
    assert (answer.code, answer.json["error"]["type"]) == (1, "JobError")
    told = omruntime("jobs", "n", "--bucket", mapped).out
    assert answer.json["error"]["task"] in told
    assert "AssertionError: it is bad" in told


def test_notebooks_are_listed_without_what_runs_and_maps_have_made(store: str, mapped: str) -> None:
    (only,) = omruntime("jobs", "--bucket", mapped, "--json").json
    assert (only["name"], only["mapped tasks"]) == ("n.ipynb", "2 SUCCESS, 1 FAILURE")
    table = omruntime("jobs", "--bucket", mapped).out
    assert "n.ipynb" in table
    assert "tasks/n" not in table


def test_what_failed_of_a_map_is_run_again_with_the_current_code(store: str, mapped: str, tmp_path: Path) -> None:
    with Omega(bucket=mapped) as om:
        om.jobs.create(SOURCE, "again")
        with pytest.raises(JobError):
            om.runtime.job("again").map([1, "bad"], task_group="g").get(100)
    told = omruntime("jobs", "again", "--bucket", mapped)
    assert "tasks/again/g-1.ipynb" in told.out
    failed = omruntime("jobs", "again", "--restart", "--bucket", mapped)
    assert (failed.code, failed.out.count("tasks/again/")) == (1, 1)
    assert "tasks: 1 of 1, 1 failed" in failed.err
    assert " -m omruntime status " in failed.err
    (tmp_path / "mended.py").write_text("print('mended')")
    omruntime("put", "jobs", "again", str(tmp_path / "mended.py"), "--bucket", mapped)
    done = omruntime("jobs", "again", "--restart", "g", "--bucket", mapped, "--json")
    assert (done.code, done.err) == (0, "")
    assert [(row["task"], row["group"], row["status"]) for row in done.json] == [
        ("tasks/again/g-1.ipynb", "g", "SUCCESS")
    ]
    for group in ([], ["all"]):
        nothing = omruntime("jobs", "again", "--restart", *group, "--bucket", mapped)
        assert nothing.code == 0
        assert "nothing to run again" in nothing.out
    rows = omruntime("jobs", "again", "--bucket", mapped, "--limit", "1")
    assert "... and 1 earlier tasks; --limit 2 lists all" in rows.out


def test_a_run_that_is_not_over_is_told(store: str) -> None:
    with Omega(bucket="open", runtime=OmegaRuntimeLocal(workers=1)) as om:
        om.jobs.create("1", "waits")
        om["elsewhere"].jobs.create("1", "waits")
        handle = om.runtime.require("nobody").job("waits").run()
        other = om["elsewhere"].runtime.require("nobody").job("waits.ipynb").run()
        (run,) = omruntime("jobs", "waits", "--bucket", "open", "--json").json["runs"]
        assert (run["id"], run["status"], run["results"]) == (handle.id, "PENDING", "")
        (listed,) = omruntime("jobs", "--bucket", "elsewhere", "--json").json
        assert (listed["id"], listed["status"], listed["runs"]) == (other.id, "PENDING", 1)
        handle.cancel()
        other.cancel()
    assert "waits.ipynb was never run" in omruntime("jobs", "waits", "--bucket", "open").out


def test_a_run_that_was_stopped_is_told_as_it_ended(store: str) -> None:
    source = (
        "import time\nfrom omruntime import Omega\nOmega(bucket='stopped').datasets.put(1, 'began')\ntime.sleep(600)"
    )
    with Omega(bucket="stopped", runtime=OmegaRuntimeLocal(workers=1)) as om:
        om.jobs.create(source, "long")
        handle = om.runtime.job("long").run()
        eventually(lambda: om.datasets.exists("began"), "the notebook to run")
        handle.cancel()
    (run,) = omruntime("jobs", "long", "--bucket", "stopped", "--json").json["runs"]
    assert (run["id"], run["status"]) == (handle.id, "REVOKED")
    with Omega() as om:
        om.runtime.result(handle.id).forget()
    (run,) = omruntime("jobs", "long", "--bucket", "stopped", "--json").json["runs"]
    assert (run["id"], run["status"]) == (handle.id, "FAILURE")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["jobs", "n.ipyn"], 3, "did you mean 'n.ipynb'"),
        (["run", "job", "m"], 3, "there is no notebook 'm.ipynb'"),
        (["run", "job", "n", "-p", "timeout=3"], 2, "--task-timeout"),
        (["jobs", "--restart", "n"], 2, "jobs n --restart"),
        (["jobs", "--restart"], 2, "jobs NAME --restart"),
        (["jobs", "n", "--restart", "nosuch"], 2, "there are: g"),
        (["put", "notebook.ipynb", "name", "more"], 2, "put jobs notebook notebook.ipynb"),
        (["put", "data.csv", "name", "more"], 2, "put datasets data data.csv"),
    ],
)
def test_what_cannot_be_done_says_what_can(words: list[str], code: int, told: str, store: str, mapped: str) -> None:
    ran = omruntime(*words, "--bucket", mapped)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err


def test_a_bucket_without_notebooks_says_how_to_put_one(store: str) -> None:
    assert "-m omruntime put jobs" in omruntime("jobs", "--bucket", "nothing-here").out
