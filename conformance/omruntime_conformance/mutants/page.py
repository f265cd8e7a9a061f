"""The page that tells which rules notice which mutants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from omruntime_conformance.mutants.trial import Finding, Scope

__all__ = ["mutants_page"]

_INTRODUCTION = """\
# The suite, tested itself

A rule that passes says something only if it fails where its promise is broken. So each rule has *mutants*: runtimes
that are wrong on purpose, made of the embedded engine by wrapping a function or two, each with one promise broken in
a way that an author of an engine might break it. The rule has to notice.
"""
_HEAD = """\
| Rule | Mutant | What is wrong with it | Also noticed by |
| --- | --- | --- | --- |
"""


def mutants_page(findings: Sequence[Finding], scope: Scope, day: date) -> str:
    """Return what became of all mutants, in Markdown."""
    rules = {finding.mutant.rule for finding in findings}
    missed = [finding for finding in findings if not finding.is_caught]
    alone = sum(finding.is_caught and not finding.others for finding in findings)
    command = f"omruntime-conformance mutants{_option(scope)} -o docs/mutants.md"
    summary = (
        f"On {day.isoformat()} each of {len(findings)} mutants of {len(rules)} rules was run against {scope.value}. "
        f"{len(findings) - len(missed)} were noticed by the rule that they were made for, {alone} of them by no "
        f"other. The table is written by `{command}`.\n"
    )
    rows = [_row(finding) for finding in sorted(findings, key=lambda each: str(each.mutant))]
    runs, minutes = sum(len(each.outcomes) for each in findings), sum(each.seconds for each in findings) / 60
    closing = f"These {runs:,} runs of rules, one after the other, take {minutes:.0f} minutes.\n"
    return f"{_INTRODUCTION}\n{summary}\n{_HEAD}{''.join(rows)}\n{closing}"


def _option(scope: Scope) -> str:
    return "" if scope is Scope.BESIDE else f" --scope {scope.name.lower()}"


def _row(finding: Finding) -> str:
    mutant = finding.mutant
    own = _link(mutant.rule) + ("" if finding.is_caught else " **did not notice**")
    others = ", ".join(map(_link, finding.others)) or "none"
    return f"| {own} | `{mutant.name}` | {mutant.sentence.replace('|', '&#124;')} | {others} |\n"


def _link(rule: str) -> str:
    return f"[{rule}](contract.md#{rule.lower()})"
