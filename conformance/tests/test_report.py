from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from omruntime_conformance import load_rules
from omruntime_conformance.comparison import differences
from omruntime_conformance.matrix import MatrixError, matrix_page
from omruntime_conformance.report import Outcome, Report, Status, merged, read_report, write_report


def report(backend: str = "slurm", **changed: Outcome) -> Report:
    """Return the report of a whole run in which all passed but what is given."""
    by_id = {outcome.rule: outcome for outcome in changed.values()}
    return Report(
        backend=backend,
        target=f"{backend}://",
        suite="1.0",
        core="1.0",
        versions={f"omruntime-{backend}": "1.2"},
        python="3.11.2",
        platform="Linux x86_64",
        date="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        capabilities=["TIME_LIMIT"],
        outcomes=[by_id.get(id, Outcome(id, Status.PASSED)) for id in sorted(load_rules())],
    )


def changed(whole: Report, **fields: Any) -> Report:
    return msgspec.structs.replace(whole, **fields)


def test_a_whole_run_is_complete_and_says_of_how_many_rules() -> None:
    whole = report(a=Outcome("RES-010", Status.REPLACED, "LIF-004 holds instead"))
    count = len(load_rules())
    assert whole.is_complete
    assert not whole.has_failed
    assert whole.summary() == f"slurm: {count} of {count} rules run: {count - 1} passed, 1 replaced"


def test_a_partial_run_cannot_look_complete() -> None:
    partial = report(a=Outcome("RES-001", Status.NOT_RUN, runs=0))
    count = len(load_rules())
    assert not partial.is_complete
    assert partial.summary().startswith(f"slurm: {count - 1} of {count} rules run: ")
    assert partial.summary().endswith("; a partial run")


@pytest.mark.parametrize("outcomes", [[], [Outcome("RES-001", Status.NOT_RUN)]])
def test_an_empty_run_has_failed(outcomes: list[Outcome]) -> None:
    empty = changed(report(), outcomes=outcomes)
    assert empty.has_failed
    assert not empty.is_complete


def test_what_is_blocked_has_failed_and_what_is_known_or_not_exercised_has_not() -> None:
    assert report(a=Outcome("RES-001", Status.BLOCKED)).has_failed
    assert not report(
        a=Outcome("RES-001", Status.KNOWN, link="https://example.org/1"), b=Outcome("RES-002", Status.NOT_EXERCISED)
    ).has_failed


def test_a_rule_that_fails_now_and_then_has_failed_and_is_called_flaky() -> None:
    passed, failed = Outcome("RES-001", Status.PASSED), Outcome("RES-001", Status.FAILED, "oh", failures=1)
    one = merged([passed, failed, passed])
    assert (one.status, one.runs, one.failures) == (Status.FAILED, 3, 1)
    assert one.reason == "flaky: failed 1 of 3 times: oh"
    assert merged([failed, failed]).reason == "oh"
    assert merged([passed, passed]) == Outcome("RES-001", Status.PASSED, runs=2)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    whole = report(a=Outcome("RES-001", Status.KNOWN, "as is known", link="https://example.org/1", seconds=0.5))
    write_report(whole, tmp_path / "slurm.json")
    assert read_report(tmp_path / "slurm.json") == whole
    assert [each.name for each in tmp_path.iterdir()] == ["slurm.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no report of the suite"),
        ('{"schema": 1}', "no report of the suite"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_no_report_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_report(path)


def test_a_report_of_another_schema_is_refused(tmp_path: Path) -> None:
    write_report(changed(report(), schema=99), tmp_path / "new.json")
    with pytest.raises(ValueError, match="of schema 99, this suite reads 1"):
        read_report(tmp_path / "new.json")


def test_every_rule_and_every_engine_has_a_cell() -> None:
    page = matrix_page([report("local"), report("slurm")], load_rules())
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    assert len(rows) == len(load_rules())
    assert all(row.endswith("| ✓ | ✓ |") for row in rows)
    assert "| rule | local | slurm |" in page


def test_nothing_but_what_was_proved_is_green() -> None:
    page = matrix_page(
        [
            report(
                a=Outcome("RES-001", Status.KNOWN, "as is known: oh", link="https://example.org/1"),
                b=Outcome("RES-002", Status.NOT_EXERCISED, "no hook"),
                c=Outcome("RES-003", Status.FAILED, "oh", failures=1),
                d=Outcome("CXL-003", Status.REFUSED),
                e=Outcome("RES-010", Status.REPLACED, "LIF-004 holds instead"),
                f=Outcome("RES-004", Status.BLOCKED, "it rests on RES-003, which failed", failures=1),
            )
        ],
        load_rules(),
    )
    cells = {line[3:10]: line.rsplit("|", 2)[1].strip() for line in page.splitlines() if line.startswith("| [")}
    assert cells["CXL-003"] == "✓ refused"
    assert [id for id in ("RES-001", "RES-002", "RES-003", "RES-004", "RES-010") if "✓" in cells[id]] == []
    assert "[https://example.org/1](https://example.org/1)" in page
    assert "</a>no hook" in page
    assert "</a>LIF-004 holds instead" in page
    assert "1 failed, 1 blocked" in page


@pytest.mark.parametrize(
    ("reports", "message"),
    [
        ([], "there is no report"),
        ([report(), report()], "two reports of slurm"),
        ([changed(report(), variant="v2"), changed(report(), variant="v2")], "two reports of slurm, v2"),
        ([report(a=Outcome("RES-001", Status.NOT_RUN))], r"partial run: 1 of \d+ rules were not run \(RES-001\)"),
        ([report("local"), report(a=Outcome("RES-001", Status.NOT_RUN))], r"slurm is of a partial run"),
        (
            [report("local"), changed(report(a=Outcome("RES-001", Status.NOT_RUN)), variant="v2")],
            r"slurm, v2 is of a partial run",
        ),
        ([changed(report(), outcomes=[])], "with other rules than this one"),
        ([changed(report(), outcomes=[*report().outcomes, Outcome("XXX-001", Status.PASSED)])], "rules.*XXX-001"),
    ],
)
def test_there_is_no_matrix_of_half_the_truth(reports: list[Report], message: str) -> None:
    with pytest.raises(MatrixError, match=message):
        matrix_page(reports, load_rules())


def test_chosen_rules_on_something_else_stand_beside_the_whole_and_what_was_not_run_says_so() -> None:
    chosen = changed(report(a=Outcome("RES-001", Status.NOT_RUN)), variant="MongoDB")
    page = matrix_page([report(), chosen], load_rules())
    cells = {line[3:10]: line.rsplit("|", 3)[1:3] for line in page.splitlines() if line.startswith("| [")}
    assert cells["RES-001"] == [" ✓ ", " not run "]
    assert cells["RES-002"] == [" ✓ ", " ✓ "]
    assert "| 1 not run |" in page
    assert "- not run: " in page


def test_differences_are_of_what_was_shown_only() -> None:
    old = report(
        a=Outcome("RES-001", Status.FAILED, "once", failures=1),
        b=Outcome("RES-002", Status.FAILED, "so", failures=1),
    )
    new = report(
        a=Outcome("RES-001", Status.PASSED, seconds=9.0),
        b=Outcome("RES-002", Status.FAILED, "otherwise", failures=1),
        c=Outcome("RES-003", Status.NOT_EXERCISED, "no hook"),
    )
    new = changed(new, capabilities=["DETACHED"], date="2026-02-02T00:00:00+00:00", seconds=7.0)
    assert differences(old, new) == [
        "TIME_LIMIT: is not declared any more",
        "DETACHED: is declared now",
        "RES-001: failed (once) -> passed",
        "RES-003: passed -> not exercised (no hook)",
    ]
    assert differences(new, new) == []


def test_rules_that_come_and_go_are_differences() -> None:
    fewer = changed(report(), outcomes=report().outcomes[1:])
    first = report().outcomes[0].rule
    assert differences(fewer, report()) == [f"{first}: a new rule: passed"]
    assert differences(report(), fewer) == [f"{first}: is no rule any more; it was: passed"]
