"""The commands that tell of the rules: ``list``, ``explain``, ``contract``."""

from __future__ import annotations

import inspect
from pathlib import Path

import click

from omruntime_conformance.cli.files import written
from omruntime_conformance.contract import contract_page
from omruntime_conformance.failure import rule_link
from omruntime_conformance.registry import Rule, load_rules

__all__ = ["contract", "explain", "list_rules"]


@click.command("list")
def list_rules() -> None:
    """List the rules with their sentences."""
    rules = load_rules()
    for each in rules.values():
        click.echo(f"{each.id}  {each.sentence}")
    click.echo(f"{len(rules)} rules")


@click.command()
@click.argument("rule")
def explain(rule: str) -> None:
    """Say what a RULE (its id, like RES-001) means, why it matters, and show how it is proved."""
    rules, id = load_rules(), rule.upper()
    if id not in rules:
        near = [each for each in rules if each.startswith(id[:3])] or sorted({each.area for each in rules.values()})
        raise click.UsageError(
            f"there is no rule {id!r}; there are {', '.join(near)}; 'omruntime-conformance list' has all"
        )
    click.echo(_explanation(rules[id]), nl=False)


@click.command()
@click.option("-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write to this file.")
@click.option("--check", is_flag=True, help="Write nothing, and fail when the file is not what would be written.")
def contract(output: Path | None, check: bool) -> None:
    """Write the page of all rules, in Markdown."""
    written(contract_page(load_rules().values()), output, check=check)


def _explanation(rule: Rule) -> str:
    facts = {
        "rests on": ", ".join(rule.rests_on),
        "capability": rule.capability.name if rule.capability else "",
        "only without": rule.without.name if rule.without else "",
        "workers": ", ".join(f"{label} x {slots}" for label, slots in rule.workers.items()),
        "cluster": "its own" if rule.own_cluster else "shared",
        "docs": rule_link(rule),
        "again": f"omruntime-conformance run URL --rules {rule.id}, or pytest -k {rule.id}",
    }
    lines = [f"{rule.id}  {rule.sentence}", *([rule.text] if rule.text else [])]
    lines += [f"{name + ':':<14}{text}" for name, text in facts.items() if text]
    return "\n".join(lines) + "\n\n" + inspect.getsource(rule.body)
