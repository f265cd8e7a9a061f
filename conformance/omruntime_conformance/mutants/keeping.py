"""Findings in a file, a line for each as it comes, so that hours of trials can be interrupted and gone on with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from omruntime_conformance.mutants.registry import Mutant
from omruntime_conformance.mutants.trial import Finding, Scope
from omruntime_conformance.report import Outcome

__all__ = ["keep", "kept"]


class _Line(msgspec.Struct, frozen=True):
    mutant: str
    sentence: str
    scope: Scope
    outcomes: dict[str, Outcome]


def keep(finding: Finding, scope: Scope, path: Path) -> None:
    """Add a finding to a file."""
    mutant = finding.mutant
    line = _Line(str(mutant), mutant.sentence, scope, dict(finding.outcomes))
    with path.open("ab") as stream:
        stream.write(msgspec.json.encode(line) + b"\n")


def kept(path: Path, mutants: Iterable[Mutant], scope: Scope) -> list[Finding]:
    """Return what a file has of these mutants and this scope.

    One that says something else by now counts as new; so does one that its rule had not noticed, which may be mended.

    Raises:
        ValueError: it is no such file.
    """
    if not path.exists():
        return []
    by_name = {(str(each), each.sentence): each for each in mutants}
    try:
        lines = [msgspec.json.decode(line, type=_Line) for line in path.read_bytes().splitlines()]
    except msgspec.MsgspecError as exc:
        raise ValueError(f"{path} holds no findings of mutants ({exc}); give another file, or remove it") from exc
    found = {
        line.mutant: Finding(by_name[line.mutant, line.sentence], line.outcomes)
        for line in lines
        if line.scope is scope and (line.mutant, line.sentence) in by_name
    }
    return [finding for finding in found.values() if finding.is_caught]
