from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omruntime_conformance.faults import Processes
from omruntime_conformance.oracle import CLUSTER, PROCESS, Gate, Log, Waiter
from omruntime_conformance.tasks import LOG_FILE, note, note_death, pass_gate

WRITER = """
import sys
from omruntime_conformance.tasks import note
for number in range(200):
    note(sys.argv[1], "line", sys.argv[2], number=number, text="x" * 300)
"""


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log", Waiter(seconds=10))


def test_lines_of_many_writers_stay_whole_and_in_order(log: Log) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(log), name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert [entry.order for entry in log.entries()] == list(range(400))
    for name in "ab":
        assert [entry.data["number"] for entry in log.entries("line", name)] == list(range(200))


def test_a_line_that_is_still_being_written_is_not_read(log: Log) -> None:
    note(str(log), "start", "whole")
    with (Path(str(log)) / LOG_FILE).open("a") as stream:
        stream.write(json.dumps({"what": "half"})[:5])
    assert [entry.name for entry in log.entries()] == ["whole"]


def test_waiting_in_vain_says_for_what(tmp_path: Path) -> None:
    log = Log(tmp_path, Waiter(seconds=0.05))
    with pytest.raises(AssertionError, match="2 x 'start' of any task in the log"):
        log.wait("start", count=2)


def test_patience_stretches_every_deadline() -> None:
    assert Waiter(patience=3, seconds=10).seconds == 30


def test_a_gate_lets_pass_once_it_is_open(tmp_path: Path, log: Log) -> None:
    gate = Gate(tmp_path / "gates" / "one", log)
    with pytest.raises(TimeoutError, match="nobody opened"):
        pass_gate(str(gate), seconds=0.02)
    gate.open()
    gate.open()
    pass_gate(str(gate), seconds=0)
    assert [entry.what for entry in log.all()] == ["opens the gate 'one'"]


def test_what_the_suite_does_is_no_line_of_a_task(log: Log) -> None:
    log.record("locks the store", fault=CLUSTER)
    note(str(log), "start", "a task")
    note_death(str(log), "a task")
    assert [(entry.what, entry.name) for entry in log.entries()] == [("start", "a task")]
    assert [(entry.by, entry.fault) for entry in log.all()] == [("suite", CLUSTER), ("", ""), ("suite", PROCESS)]


def test_only_processes_of_the_log_are_touched(log: Log) -> None:
    processes = Processes(log)
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        with pytest.raises(ValueError, match="no task has noted"):
            processes.kill(child.pid)
        line = {"what": "start", "name": "", "pid": child.pid, "host": os.uname().nodename, "label": "", "at": 0}
        with (Path(str(log)) / LOG_FILE).open("a") as stream:
            stream.write(json.dumps(line | {"data": {}}) + "\n")
        assert processes.alive(child.pid)
        processes.kill(child.pid)
        assert child.wait() == -9
        last = log.all()[-1]
        assert (last.what, last.pid, last.fault) == (f"kills process {child.pid}", child.pid, PROCESS)
    assert not processes.alive(child.pid)
    assert not processes.wake(child.pid)


def test_the_suite_does_not_kill_itself(log: Log) -> None:
    note(str(log), "start")
    with pytest.raises(ValueError, match="suite's own"):
        Processes(log).kill(os.getpid())


def test_other_machines_are_left_alone(log: Log) -> None:
    line = {"what": "start", "name": "", "pid": 1, "host": "elsewhere", "label": "", "at": 0, "data": {}}
    (Path(str(log)) / LOG_FILE).write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match="runs on elsewhere"):
        Processes(log).kill(1)
