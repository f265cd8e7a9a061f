"""cancel, logs and labels: what they do to a task of another process, what they say, and how they end."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from omruntime import Omega, OmegaRuntimeLocal
from omruntime.ledger import Request, new_id
from tests.cli.commands import omruntime
from tests.cli.test_run import _id
from tests.worker.gates import Gate, alive, held


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@contextmanager
def running(gate: Gate) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Have a process of its own run a task that waits at the gate; its id, and the process."""
    with Omega() as om:
        om.scripts.put(held, "held")
    arguments = [part for name, value in gate.arguments.items() for part in ("-p", f"{name}={value}")]
    command = [sys.executable, "-m", "omruntime", "run", "script", "held", "1", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        yield _id(process.stderr.readline()), process


# -- cancel ------------------------------------------------------------------------------------------------------


def test_a_running_task_of_another_process_is_stopped(store: str, gate: Gate) -> None:
    with running(gate) as (task, process):
        worker = gate.wait_for_start()
        ran = omruntime("cancel", task)
        _, err = process.communicate(timeout=60)
    assert (ran.code, ran.out) == (0, f"{task}  cancelled; it was running, and is being stopped\n")
    assert not alive(worker)
    assert process.returncode == 1
    assert f"task {task} REVOKED" in err
    assert omruntime("status", task, "--json").json["status"] == "REVOKED"


def test_a_task_that_waits_never_starts_and_the_others_are_done_too(store: str) -> None:
    with Omega(store, OmegaRuntimeLocal(workers=1)) as om:
        waiting = [om.runtime.require("gpu").script("echo").run(number) for number in range(2)]
        over = om.runtime.script("echo").run("over")
        over.get(60)
        ran = omruntime("cancel", waiting[0].id, "nosuch", over.id, waiting[1].id, "--json")
        assert [each.status for each in waiting] == ["REVOKED", "REVOKED"]
    assert ran.code == 3
    first, unknown, done, last = ran.json
    assert first == {"id": waiting[0].id, "cancelled": True, "before": "PENDING", "status": "REVOKED"}
    assert (last["id"], last["cancelled"]) == (waiting[1].id, True)
    assert done == {"id": over.id, "cancelled": False, "before": "SUCCESS", "status": "SUCCESS"}
    assert unknown["error"]["type"] == "UnknownTask"
    told = omruntime("cancel", waiting[0].id, "nosuch", over.id)
    assert told.code == 3
    assert f"{waiting[0].id}  over already: REVOKED" in told.out
    assert "error: no task 'nosuch'" in told.err


def test_cancel_needs_an_id() -> None:
    assert omruntime("cancel").code == 2


# -- logs --------------------------------------------------------------------------------------------------------


def test_what_a_task_has_printed(store: str) -> None:
    task = _id(omruntime("run", "script", "echo", "a\nb\nc").err)
    ran = omruntime("logs", task)
    assert (ran.code, ran.out) == (0, "echo of a\nb\nc\n")
    assert omruntime("logs", task, "--lines", "2").out == "b\nc\n"
    answer = omruntime("logs", task, "--lines", "1", "--json").json
    assert answer == {"id": task, "status": "SUCCESS", "logs": "c"}


def test_the_output_of_a_failed_task_is_no_failure_of_the_command(store: str) -> None:
    task = _id(omruntime("run", "script", "echo", "boom").err)
    for words in (["logs", task], ["logs", task, "--wait"]):
        ran = omruntime(*words)
        assert (ran.code, ran.out) == (0, "echo of boom\n")


def test_the_output_of_a_task_that_goes_on_can_be_waited_for(store: str, gate: Gate) -> None:
    with running(gate) as (task, process):
        gate.wait_for_start()
        for words in ([], ["--wait", "--timeout", "0.01"]):
            ran = omruntime("logs", task, *words)
            assert (ran.code, ran.out) == (5, "")
            assert f"logs {task} --wait" in ran.err
        waiting = subprocess.Popen(
            [sys.executable, "-m", "omruntime", "logs", task, "--wait"], stderr=subprocess.PIPE, text=True
        )
        gate.open()
        assert process.wait(60) == 0
        _, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, err) == (0, f"task {task} is over (SUCCESS), and there is no output of it\n")


@pytest.mark.parametrize(
    ("words", "code"), [(["logs", "nosuch"], 3), (["logs", "x", "--timeout", "1"], 2), (["logs"], 2)]
)
def test_what_has_no_output(words: list[str], code: int, store: str) -> None:
    ran = omruntime(*words)
    assert (ran.code, ran.out) == (code, "")
    assert "error: " in ran.err


# -- labels ------------------------------------------------------------------------------------------------------


def test_labels_tell_who_has_them_and_who_waits(store: str) -> None:
    with Omega(store) as om:
        tasks = [new_id() for _ in range(3)]
        requests = [
            Request("script.run echo", label, [], 0.0)
            for label in ("big,gpu", "big,gpu", "default")
        ]  # fmt: skip
        om.session.ledger.submit(list(zip(tasks, requests, strict=True)))
        rows = {row["label"]: row for row in omruntime("labels", "--json").json}
        assert list(rows) == ["big,gpu", "default"]
        assert rows["big,gpu"] == {"label": "big,gpu", "workers": [], "slots": 0, "waiting": 2}
        assert rows["default"]["waiting"] == 1
        assert len(rows["default"]["workers"]) == rows["default"]["slots"] > 0
        told = omruntime("labels")
        assert re.search(r"^big,gpu +0 +0 +2", told.out, re.MULTILINE)
        assert "no worker has the label 'big,gpu', and 2 tasks wait for one" in told.err
        om.session.ledger.remove_requests(tasks)
