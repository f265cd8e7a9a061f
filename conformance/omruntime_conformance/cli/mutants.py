"""The command ``mutants``: the suite on runtimes that are wrong on purpose."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from omruntime_conformance.cli.files import written
from omruntime_conformance.mutants.keeping import keep, kept
from omruntime_conformance.mutants.page import mutants_page
from omruntime_conformance.mutants.registry import Mutant, load_mutants, missing_targets
from omruntime_conformance.mutants.trial import Finding, Scope, rules_without, try_mutants
from omruntime_conformance.registry import Rule
from omruntime_conformance.run import chosen_rules

__all__ = ["chosen_mutants", "mutants"]


@click.command()
@click.option("--rules", "words", metavar="IDS", default="", help="Only mutants of these rules and areas.")
@click.option(
    "--scope",
    "name",
    type=click.Choice([scope.name.lower() for scope in Scope]),
    default="beside",
    show_default=True,
    help="Against which rules: its own, those beside it in the same module too, all of its area, or every rule.",
)
@click.option("--first", is_flag=True, help="Only the first mutant of each rule.")
@click.option("--jobs", metavar="N", default=1, type=click.IntRange(1), help="Try so many at the same time.")
@click.option(
    "--keep",
    "kept_in",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Keep what is found here as it comes, and do not try again what was noticed.",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write what was found here, in Markdown."
)
def mutants(words: str, name: str, first: bool, jobs: int, kept_in: Path | None, output: Path | None) -> None:
    """Test the suite itself: run runtimes that are wrong on purpose, and see that the rules notice.

    Each mutant breaks one promise of the embedded engine. It is run against the rule of that promise, which has to
    fail, and against others, to tell which notice as well. All of its area take an hour of processor time, every rule
    takes many.

    Exit code 0: every rule has a mutant and has noticed it; 1: one has none, or has not; 2: the command cannot be
    carried out.
    """
    scope = Scope[name.upper()]
    try:
        rules = chosen_rules(words.split(","))
        chosen = chosen_mutants(rules, first=first)
        before = kept(kept_in, chosen, scope) if kept_in is not None else []
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    tried = {finding.mutant for finding in before}
    pending = [each for each in chosen if each not in tried]
    teller = _Teller(len(pending))

    def tell(finding: Finding) -> None:
        if kept_in is not None:
            keep(finding, scope, kept_in)
        teller(finding)

    findings = [*before, *try_mutants(pending, scope, jobs, tell)]
    if output is not None:
        written(mutants_page(findings, scope, datetime.now(UTC).date()), output, check=False)
    if not _tell_end(findings, rules_without(chosen, rules)):
        raise click.exceptions.Exit(1)


def chosen_mutants(rules: list[Rule], *, first: bool = False) -> list[Mutant]:
    """Return the mutants of rules; refuse those that would change nothing, or break for another reason than they say.

    Args:
        rules: whose.
        first: only the first one of each.

    Raises:
        ValueError: one wraps what is not there.
    """
    ids = {rule.id for rule in rules}
    loaded = load_mutants(*sorted({rule.area for rule in rules}))
    chosen = [each for each in loaded.values() if each.rule in ids]
    missing = [f"{each} wraps {target}" for each in chosen for target in missing_targets(each)]
    if missing:
        raise ValueError(f"{'; '.join(missing)}: there is no such thing in omruntime, so correct the mutant")
    return [*{each.rule: each for each in reversed(chosen)}.values()][::-1] if first else chosen


class _Teller:
    """Prints a line for each mutant as it was tried."""

    def __init__(self, total: int) -> None:
        self._total, self._count = total, 0

    def __call__(self, finding: Finding) -> None:
        self._count += 1
        others = f"; also noticed by {', '.join(finding.others)}" if finding.others else ""
        own, mutant = finding.own, finding.mutant
        if finding.is_caught:
            words = f"{click.style('noticed', fg='green')} in {own.seconds:.1f} s: {own.reason}"
        else:
            words = click.style(f"NOT NOTICED by {mutant.rule}", fg="red") + f", which ended as {own.status.value}"
        number = f"{self._count:>{len(str(self._total))}}/{self._total}"
        click.echo(f"{number}  {mutant}  {words}{others}  ({finding.seconds:.0f} s)")


def _tell_end(findings: list[Finding], without: list[str]) -> bool:
    """Say what was found in all, and tell whether it is well."""
    missed = [finding.mutant for finding in findings if not finding.is_caught]
    for each in missed:
        click.echo(f"{each}: {each.sentence} {each.rule} must fail on it: strengthen the rule, or correct the mutant")
    rules = len({finding.mutant.rule for finding in findings})
    click.echo(
        f"{len(findings)} mutants of {rules} rules: {len(findings) - len(missed)} noticed by their own rule, "
        f"{len(missed)} not; rules without a mutant: {len(without)}{' '.join(['', *without])}"
    )
    return not missed and not without
