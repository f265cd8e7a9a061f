"""The command ``run``: the suite on an engine, for somebody with an address or a harness."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import click

from omruntime_conformance.report import Outcome, Report, Status, write_report
from omruntime_conformance.run import Plan, Run, chosen_rules
from omruntime_conformance.target import TargetError

__all__ = ["run"]

_SEEDS = 1_000_000


@click.command()
@click.argument("target")
@click.option("--rules", metavar="IDS", default="", help="Only these rules and areas, like CAN,FLT-001.")
@click.option("--jobs", metavar="N", default=1, type=click.IntRange(1), help="Run so many rules at the same time.")
@click.option("--json", "output", metavar="FILE", type=click.Path(path_type=Path), help="Write the report here.")
@click.option("--repeat", metavar="N", default=1, type=click.IntRange(1), help="Run every rule so often.")
@click.option("--shuffle", is_flag=True, help="In random order; the seed is shown.")
@click.option("--seed", metavar="N", type=int, help="In the random order of this seed.")
@click.option("-q", "--quiet", is_flag=True, help="Tell only of rules that have not passed.")
def run(
    target: str, rules: str, jobs: int, output: Path | None, repeat: int, shuffle: bool, seed: int | None, quiet: bool
) -> None:
    """Run the suite on TARGET and say what holds, what does not, and why.

    TARGET is the URL of an engine, like dask://host:8786, or dask:// for a private cluster; or the harness of its
    author, like omruntime_dask.testing:DaskHarness, which can inject faults that a URL alone cannot. At an address
    the rules run on the workers that are there, with the key of this user.

    Exit code 0: no rule failed; 1: a rule failed, or none was run; 2: the command cannot be carried out; 130: it was
    interrupted.
    """
    if output is not None and not output.absolute().parent.is_dir():
        raise click.UsageError(f"cannot write {output}: there is no directory {output.parent}")
    seed = random.SystemRandom().randrange(_SEEDS) if shuffle and seed is None else seed
    try:
        plan = Plan(target, chosen_rules(rules.split(",")), jobs=jobs, repeat=repeat, seed=seed)
        running = Run(plan, _Teller(len(plan.rules) * repeat, quiet=quiet))
        report = running.run()
    except (TargetError, ValueError) as exc:
        raise click.UsageError(str(exc)) from exc
    _tell_failures(report)
    if seed is not None:
        click.echo(f"order of seed {seed}; again with --seed {seed}")
    click.echo(report.summary())
    if output is not None:
        _write(report, output)
    if running.interrupted:
        raise click.Abort
    if report.has_failed:
        raise click.exceptions.Exit(1)


class _Teller:
    """Prints a line for each outcome as it comes."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._total, self._quiet, self._count = total, quiet, 0
        self._lock = threading.Lock()

    def __call__(self, outcome: Outcome) -> None:
        with self._lock:
            self._count += 1
            if self._quiet and outcome.status.is_proof:
                return
            number = f"{self._count:>{len(str(self._total))}}/{self._total}"
            click.echo(f"{number}  {outcome.rule}  {outcome.seconds:6.2f} s  {_words(outcome)}")


def _words(outcome: Outcome) -> str:
    colour = {Status.PASSED: "green", Status.REFUSED: "green", Status.FAILED: "red", Status.BLOCKED: "red"}
    status = click.style(outcome.status.value, fg=colour.get(outcome.status, "yellow"))
    link = f" {outcome.link}" if outcome.link else ""
    return status + (f": {outcome.reason}" if outcome.reason else "") + link


def _tell_failures(report: Report) -> None:
    for outcome in report.outcomes:
        if outcome.status is Status.FAILED:
            title = f" {outcome.rule} "
            click.echo(f"\n{title:=^100}\n{outcome.detail or outcome.reason}")
    if any(outcome.status is Status.FAILED for outcome in report.outcomes):
        click.echo("")


def _write(report: Report, output: Path) -> None:
    try:
        write_report(report, output)
    except OSError as exc:
        raise click.UsageError(
            f"cannot write {output}: {exc.strerror}; give a file in a directory that exists"
        ) from exc
