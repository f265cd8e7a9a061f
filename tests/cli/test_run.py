"""run, result and status on real workers: values, ids, failures, and every exit code of waiting."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from omruntime import Omega
from omruntime.cli.run import _left
from omruntime.cli.settings import Settings
from tests.cli.commands import omruntime, process

ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


def _id(text: str) -> str:
    found = ID.search(text)
    assert found is not None, text
    return found.group()


@pytest.fixture(scope="module")
def line(store: str) -> None:
    """A dataset and a model of the name ``line``."""
    with Omega() as om:
        om.datasets.put(pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [1.0, 3.0, 5.0]}), "line")
        om.models.put(LinearRegression(), "line")


def test_a_script_runs_and_its_task_is_known_afterwards(store: str) -> None:
    ran = omruntime("run", "script", "echo", '{"a": [null]}', "text", "-p", "n=2.5")
    assert ran.code == 0
    assert json.loads(ran.out)["result"] == [{"a": [None]}, [{"a": [None]}, "text"], 2.5]
    task = _id(ran.err)
    found = process("result", task, "--json")
    assert found.json["value"]["result"] == [{"a": [None]}, [{"a": [None]}, "text"], 2.5]
    assert (found.json["id"], found.json["status"]) == (task, "SUCCESS")
    facts = omruntime("status", task, "--json").json
    assert (facts["name"], facts["status"], facts["attempt"]) == ("script.run echo", "SUCCESS", 1)
    assert facts["worker"].startswith("local@")
    assert facts["logs"] == "echo of {'a': [None]}"
    assert facts["submitted"] <= facts["started"] <= facts["ended"]
    told = omruntime("status", task).out
    assert all(each in told for each in (task, "script.run echo", "SUCCESS", facts["worker"], "echo of"))
    assert task in omruntime("status").out
    assert [each["id"] for each in omruntime("status", "--limit", "1", "--json").json] == [task]


def test_a_canvas_tells_its_steps(store: str) -> None:
    with Omega() as om:
        crt = om.runtime.sequence()
        crt.script("echo").run(1)
        crt.script("echo").run(2)
        result = crt.run()
        result.get(60)
    facts = omruntime("status", result.id, "--json").json
    assert (facts["name"], facts["status"]) == ("canvas.sequence", "SUCCESS")
    assert facts["seconds"] == pytest.approx(facts["ended"] - facts["submitted"], abs=0.001)
    assert [(step["id"], step["status"]) for step in facts["steps"]] == [
        (step.id, "SUCCESS") for step in result.steps()
    ]
    told = omruntime("status", result.id, "--limit", "1").out
    assert result.steps()[0].id in told
    assert "... and 1 steps more; --limit 2 lists all" in told


def test_a_model_is_fitted_and_used(line: None) -> None:
    fitted = omruntime("run", "model", "line", "fit", "line[^y]", "line[y]", "--json")
    assert (fitted.code, fitted.json["value"]["name"]) == (0, "line")
    by_name = omruntime("run", "model", "line", "predict", "line[x]", "--json")
    assert by_name.json["value"] == pytest.approx([1, 3, 5])
    stored = omruntime("run", "model", "line", "predict", "line[x]", "-p", "rName=predicted")
    assert "name=predicted" in stored.out
    assert "predicted" in omruntime("ls", "datasets").out


def test_data_is_given_as_json(line: None) -> None:
    omruntime("run", "model", "line", "fit", "line[^y]", "line[y]")
    assert omruntime("run", "model", "line", "predict", "[[10]]", "--json").json["value"] == pytest.approx([21])


def test_a_failed_task_shows_its_own_traceback(store: str) -> None:
    ran = omruntime("run", "script", "echo", "boom")
    assert ran.code == 1
    assert ran.out == ""
    assert "ValueError: it went boom" in ran.err
    assert "in echo" in ran.err
    assert "omruntime/cli" not in ran.err
    again = omruntime("result", _id(ran.err), "--json")
    assert again.code == 1
    error = again.json["error"]
    assert (error["type"], error["message"], error["task"]) == ("ValueError", "it went boom", _id(ran.err))
    assert "in echo" in error["traceback"]
    assert omruntime("status", _id(ran.err), "--json").json["error"] == "ValueError: it went boom"


def test_each_change_of_a_task_is_a_line(store: str) -> None:
    ran = omruntime("run", "script", "echo", "boom", "--retries", "1", "--retry-delay", "0.3")
    lines = [line for line in ran.err.splitlines() if line.startswith("task ")]
    task = _id(lines[0])
    assert all(line.startswith(f"task {task} ") for line in lines)
    assert re.fullmatch(rf"task {task} FAILURE on local@\S+, attempt 2, after [\d.]+ s", lines[-1])
    seen = [line.split()[2].rstrip(",") for line in lines]
    assert seen == sorted(seen, key=["PENDING", "STARTED", "FAILURE"].index)
    assert len(lines) == len(set(lines))


def test_who_stops_waiting_is_told_how_to_find_the_task(store: str) -> None:
    with Omega(store) as om:
        handle = om.runtime.script("echo").run(1)
        handle.get(60)
        given = Settings(store="sqlite:///a b", runtime="dask://host:8786")
        goes_on, ends = _left(given, handle, True), _left(given, handle, False)
    assert goes_on.endswith(f"result {handle.id} --store 'sqlite:///a b'")
    assert "goes on" in goes_on
    assert ends.endswith(f"status {handle.id} --store 'sqlite:///a b'")
    assert "ends with its worker" in ends


def test_detached_the_id_alone_goes_to_stdout(store: str) -> None:
    ran = omruntime("run", "script", "echo", "later", "--detach")
    assert ran.code == 0
    assert ID.fullmatch(ran.out.strip())
    assert "stays until the task is over" in ran.err
    assert omruntime("result", ran.out.strip(), "--timeout", "30", "--json").json["value"]["result"][0] == "later"


def test_what_is_not_over_in_time_ends_with_its_worker(store: str) -> None:
    ran = omruntime("run", "script", "echo", "-p", "wait=100", "--timeout", "0.1", "--json")
    assert (ran.code, ran.json["error"]["type"]) == (5, "ResultTimeout")
    assert omruntime("status", _id(ran.err), "--json").json["status"] == "REVOKED"


def test_a_task_over_its_own_time_has_failed(store: str) -> None:
    ran = omruntime("run", "script", "echo", "-p", "wait=100", "--task-timeout", "0.1", "--retries", "0", "--json")
    assert (ran.code, ran.json["error"]["type"]) == (1, "TaskTimeout")


def test_an_interrupt_ends_the_command_and_its_task(store: str) -> None:
    # A shell starts what runs in its background with this signal ignored, and children inherit that.
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import omruntime.cli as c; c.main()"
    )
    command = [sys.executable, "-c", start, "run", "script", "echo", "-p", "wait=100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        task = _id(running.stderr.readline())
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert "error: interrupted" in err
    assert f"omruntime status {task}" in err
    assert "Traceback" not in err
    assert omruntime("status", task, "--json").json["status"] == "REVOKED"


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        (["run", "model", "nobody", "predict", "line"], 3, "ObjectNotFound"),
        (["run", "model", "line", "predict", "nothing"], 3, "ObjectNotFound"),
        (["run", "model", "line", "predict", "line[z]"], 2, "SelectorError"),
        (["run", "model", "line", "predict"], 2, "UsageError"),
        (["run", "model", "line", "fit", "line", "line", "line"], 2, "UsageError"),
        (["run", "script", "nobody"], 3, "ObjectNotFound"),
        (["run", "script", "echo", "--retries", "-1"], 2, "UsageError"),
        (["run", "script", "echo", "--detach", "--timeout", "1"], 2, "UsageError"),
        (["run", "script", "echo", "--runtime", "nosuch://"], 4, "BackendNotInstalled"),
        (["run", "script", "echo", "--runtime", "local"], 2, "ValueError"),
        (["result", "nosuch"], 3, "UnknownTask"),
        (["status", "nosuch"], 3, "UnknownTask"),
    ],
)
def test_what_cannot_be_run_or_found(command: list[str], code: int, error: str, line: None) -> None:
    ran = omruntime(*command, "--json")
    assert (ran.code, ran.json["error"]["type"]) == (code, error)
    plain = omruntime(*command)
    assert plain.code == code
    assert "error: " in plain.err
    assert "Traceback" not in plain.err
    assert plain.out == ""


def test_debug_shows_our_own_traceback(store: str) -> None:
    ran = omruntime("result", "nosuch", "--debug")
    assert ran.code == 3
    assert "Traceback" in ran.err
