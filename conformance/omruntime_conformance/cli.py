"""The command ``omruntime-conformance``: what the contract says, rule by rule."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from omruntime_conformance.contract import contract_page
from omruntime_conformance.failure import rule_link
from omruntime_conformance.registry import Rule, load_rules

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 for a rule that does not exist or a file that fails."""
    parser = argparse.ArgumentParser(prog="omruntime-conformance", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the rules with their sentences")
    explain = commands.add_parser("explain", help="say what a rule means and show how it is proved")
    explain.add_argument("rule", help="id of the rule, like RES-001")
    contract = commands.add_parser("contract", help="write the page of all rules, in Markdown")
    contract.add_argument("-o", "--output", metavar="FILE", type=Path, help="file to write; default: standard output")
    chosen = parser.parse_args(argv)
    if chosen.command == "list":
        return _list()
    if chosen.command == "contract":
        return _contract(chosen.output)
    return _explain(chosen.rule.upper())


def _list() -> int:
    rules = load_rules()
    sys.stdout.writelines(f"{each.id}  {each.sentence}\n" for each in rules.values())
    sys.stdout.write(f"{len(rules)} rules\n")
    return 0


def _contract(output: Path | None) -> int:
    page = contract_page(load_rules().values())
    if output is None:
        sys.stdout.write(page)
        return 0
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as exc:
        sys.stderr.write(f"cannot write {output}: {exc.strerror}; give a file in a directory that exists\n")
        return 2
    return 0


def _explain(id: str) -> int:
    rules = load_rules()
    if id not in rules:
        near = [each for each in rules if each.startswith(id[:3])] or sorted({rule.area for rule in rules.values()})
        known = ", ".join(near)
        sys.stderr.write(f"there is no rule {id!r}; there are {known}; 'omruntime-conformance list' has all\n")
        return 2
    sys.stdout.write(_explanation(rules[id]))
    return 0


def _explanation(rule: Rule) -> str:
    facts = {
        "rests on": ", ".join(rule.rests_on),
        "capability": rule.capability.name if rule.capability else "",
        "only without": rule.without.name if rule.without else "",
        "workers": ", ".join(f"{label} x {slots}" for label, slots in rule.workers.items()),
        "cluster": "its own" if rule.own_cluster else "shared",
        "docs": rule_link(rule),
        "again": f"pytest -k {rule.id}",
    }
    lines = [f"{rule.id}  {rule.sentence}", *([rule.text] if rule.text else [])]
    lines += [f"{name + ':':<14}{text}" for name, text in facts.items() if text]
    return "\n".join(lines) + "\n\n" + inspect.getsource(rule.body)
