"""The matrix: what each engine has shown of each rule, written from reports and never by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from omruntime_conformance.contract import AREAS
from omruntime_conformance.registry import Rule
from omruntime_conformance.report import Outcome, Report, Status

__all__ = ["MatrixError", "matrix_page"]

_HEAD = """\
<!-- Made by 'omruntime-conformance matrix' from reports of the suite; never edited by hand. -->

# The matrix

What each engine has shown of each rule of [the contract](contract.md), in a whole run of the suite on the real
engine. Nothing here is declared: a cell is what a rule found, and every rule has one. What an engine with a column of
its own runs on besides may have a run of chosen rules only; the others read *not run* there.
"""
_CELLS = {
    Status.PASSED: "✓",
    Status.REFUSED: "✓ refused",
    Status.REPLACED: "replaced",
    Status.KNOWN: "**✗** known",
    Status.FAILED: "**✗ failed**",
    Status.BLOCKED: "**✗ blocked**",
    Status.NOT_EXERCISED: "not exercised",
    Status.NOT_RUN: "not run",
}
_LEGEND = {
    Status.PASSED: "the rule was proved",
    Status.REFUSED: "the engine does not declare the capability, and the call was refused, as it has to be: proved",
    Status.REPLACED: "another rule holds in its place on this engine; the note names it",
    Status.KNOWN: "it fails in the way that the engine's author has stated; the note links where that is discussed",
    Status.FAILED: "it fails",
    Status.BLOCKED: "what it rests on failed",
    Status.NOT_EXERCISED: "it could not be tried on this engine; the note says why",
    Status.NOT_RUN: "it is none of those that were chosen for this column; the engine's own column has it",
}


class MatrixError(ValueError):
    """The reports make no matrix; the message says which one and what to do."""


def matrix_page(reports: Sequence[Report], rules: Mapping[str, Rule]) -> str:
    """Return the page in Markdown: a column for each report, in their order, and a row for each rule.

    Raises:
        MatrixError: a report is of other rules than these, there are two of one engine, or one is partial and no
            whole one of the same engine is among them.
    """
    whole = {report.backend for report in reports if report.is_complete}
    for report in reports:
        _check(report, rules, whole)
    names = [report.name for report in reports]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MatrixError(f"there are two reports of {', '.join(twice)}; give one for each engine and variant")
    if not reports:
        raise MatrixError("there is no report; 'omruntime-conformance run URL --json FILE' makes one")
    notes = _Notes()
    body = [line for area in AREAS for line in _section(area, reports, rules, notes)]
    return "\n".join([_HEAD, *_summary(reports), *body, *notes.lines(), *_legend(reports)])


def _check(report: Report, rules: Mapping[str, Rule], whole: Set[str]) -> None:
    missing = sorted(each.rule for each in report.outcomes if each.status is Status.NOT_RUN)
    if missing and not (report.variant and report.backend in whole):
        raise MatrixError(
            f"the report of {report.name} is of a partial run: {len(missing)} of {len(report.outcomes)} rules "
            f"were not run ({', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}); run all of them"
        )
    told = {each.rule for each in report.outcomes}
    if different := sorted(told ^ set(rules)):
        raise MatrixError(
            f"the report of {report.name} is of suite {report.suite} with other rules than this one: "
            f"{', '.join(different[:5])}; run the suite again"
        )


class _Notes:
    """Notes below the table, each written once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, text: str) -> str:
        """Return the reference to a note."""
        number = self._numbers.setdefault(text, len(self._numbers) + 1)
        return f" [{number}](#note-{number})"

    def lines(self) -> Iterator[str]:
        if self._numbers:
            yield "## Notes\n"
        for text, number in self._numbers.items():
            yield f'{number}. <a id="note-{number}"></a>{text}'
        yield ""


def _summary(reports: Sequence[Report]) -> Iterator[str]:
    yield "| engine | versions | capabilities | rules | proved | other |"
    yield "|---|---|---|---|---|---|"
    for report in reports:
        proved = sum(each.status.is_proof for each in report.outcomes)
        counts = {status: sum(each.status is status for each in report.outcomes) for status in Status}
        other = ", ".join(
            f"{counts[status]} {status.value}" for status in Status if not status.is_proof and counts[status]
        )
        versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
        declared = ", ".join(f"`{name}`" for name in report.capabilities) or "none"
        yield (
            f"| {report.name} | {versions}, suite {report.suite}, Python {report.python} | {declared} "
            f"| {len(report.outcomes)} | {proved} | {other or 'none'} |"
        )
    yield ""


def _section(area: str, reports: Sequence[Report], rules: Mapping[str, Rule], notes: _Notes) -> Iterator[str]:
    members = sorted(id for id, rule in rules.items() if rule.area == area)
    if not members:
        return
    yield f"## {AREAS[area]}\n"
    yield f"| rule | {' | '.join(report.name for report in reports)} |"
    yield f"|---|{'---|' * len(reports)}"
    for id in members:
        cells = " | ".join(_cell(report.of(id), notes) for report in reports)
        yield f"| [{id}](contract.md#{id.lower()}) {rules[id].sentence} | {cells} |"
    yield ""


def _cell(outcome: Outcome, notes: _Notes) -> str:
    text = _CELLS[outcome.status]
    if outcome.link:
        return text + notes.mark(f"[{outcome.link}]({outcome.link})")
    return text + notes.mark(outcome.reason) if outcome.reason and not outcome.status.is_failure else text


def _legend(reports: Sequence[Report]) -> Iterator[str]:
    there = {each.status for report in reports for each in report.outcomes}
    yield "## Legend\n"
    yield from (f"- {_CELLS[status]}: {_LEGEND[status]}" for status in _CELLS if status in there)
    yield ""
