from __future__ import annotations

from typing import Any

from omruntime_conformance.oracle import Entry
from omruntime_conformance.timeline import timeline

TASK = "01a1fd59-763a-753b-9fe0-ee464c4051ed"


def entry(at: float, what: str, name: str = "", *, pid: int = 77, host: str = "here", **more: Any) -> Entry:
    return Entry(0, what, name, pid, host, more.pop("label", ""), at, more.pop("data", {}), **more)


def test_nothing_was_noted() -> None:
    assert timeline([]) == "(no task has noted anything)"


def test_who_did_what_and_when() -> None:
    text = timeline(
        [
            entry(10.0, "start", "fit", label="gpu", task=TASK, execution="a", data={"rows": 3}),
            entry(10.25, "kills process 77", by="suite", fault="process"),
            entry(12.5, "start", "fit", pid=1234, label="gpu", task=TASK, execution="b"),
            entry(12.75, "end", "later", pid=1234, task=f"{TASK}-000003", execution="c"),
            entry(13.0, "imported", "client", pid=5),
        ]
    )
    assert text.splitlines() == [
        "seconds  process  label  task                      event",
        "  0.000  77       gpu    fit 4051ed                start rows=3",
        "  0.250  suite                                     kills process 77",
        "  2.500  1234     gpu    fit 4051ed (execution 2)  start",
        "  2.750  1234            later 4051ed-000003       end",
        "  3.000  5               client                    imported",
    ]


def test_machines_have_clocks_of_their_own() -> None:
    lines = timeline([entry(10.0, "start"), entry(5000.0, "start", host="there"), entry(5001.5, "end", host="there")])
    assert [line.split()[:2] for line in lines.splitlines()[1:]] == [
        ["0.000", "77@here"],
        ["0.000", "77@there"],
        ["1.500", "77@there"],
    ]


def test_a_long_log_has_its_middle_left_out() -> None:
    lines = timeline([entry(number, "start", f"task-{number}") for number in range(1000)]).splitlines()
    assert len(lines) == 1 + 60 + 1
    assert lines[31] == "... 940 lines in the middle are left out ..."
    assert ("task-29" in lines[30], "task-970" in lines[32], "task-999" in lines[-1]) == (True, True, True)


def test_long_values_are_cut() -> None:
    assert len(timeline([entry(0.0, "start", data={"x": "y" * 10_000})])) < 200
