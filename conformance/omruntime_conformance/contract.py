"""The page of the contract, written from the registered rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from omruntime.abc import Capability
from omruntime_conformance.registry import Rule

__all__ = ["AREAS", "contract_page"]

AREAS = {
    "RES": "Results",
    "ERR": "Errors",
    "MOD": "Models",
    "SCR": "Scripts",
    "JOB": "Jobs",
    "LBL": "Labels",
    "CAN": "Canvas",
    "DAT": "Data",
    "CXL": "Cancel and time limits",
    "FLT": "Faults",
    "SEC": "Security",
    "LIF": "Life cycle",
    "PLG": "Plug-ins",
    "LAW": "Laws",
}
"""Headings by the letters of an id, in the order of the page."""

_HEAD = """\
<!-- Made by 'omruntime-conformance contract -o docs/contract.md' from the rules; never edited by hand. -->

# The contract

What holds on every engine, word for word as the conformance suite proves it on the real one. Each rule has an id that
is never used again. `omruntime-conformance explain RES-001` shows how a rule is proved, and `pytest -k RES-001` runs
it alone where a [class of the suite](guides/write-a-backend.md#prove-it) is.

Bounds of time in the rules are deadlines of waits, scaled by the harness's `patience`. What an engine need not be
able to do is a [capability](reference/interfaces.md): where it is declared the rule must hold, and where it is not
the call has to be refused with `UnsupportedCapability`, before anything is submitted.
"""


def contract_page(rules: Iterable[Rule]) -> str:
    """Return the page in Markdown: a heading for each area, and one for each rule, whose anchor is the rule's id.

    Raises:
        ValueError: an area has no heading.
    """
    areas: dict[str, list[Rule]] = {area: [] for area in AREAS}
    for rule in sorted(rules, key=lambda each: each.id):
        if rule.area not in areas:
            raise ValueError(f"{rule.id}: the area {rule.area} has no heading; give it one in {__name__}.AREAS")
        areas[rule.area].append(rule)
    parts = [_HEAD, *(part for area, members in areas.items() if members for part in _section(area, members))]
    return "\n".join(parts)


def _section(area: str, rules: list[Rule]) -> Iterator[str]:
    yield f"## {AREAS[area]}\n"
    for rule in rules:
        yield f"### {rule.id}\n\n**{rule.sentence}**\n"
        if rule.text:
            yield f"{rule.text}\n"
        if facts := list(_facts(rule)):
            yield "\n".join(f"- {fact}" for fact in facts) + "\n"


def _facts(rule: Rule) -> Iterator[str]:
    if rule.capability is not None:
        instead = "LIF-004 holds instead" if rule.capability is Capability.DETACHED else "the call is refused"
        yield f"Needs the capability `{rule.capability.name}`; without it {instead}."
    if rule.without is not None:
        yield f"Holds where the capability `{rule.without.name}` is not declared."
    if rule.rests_on:
        yield f"Rests on {', '.join(f'[{id}](#{id.lower()})' for id in rule.rests_on)}."
    if rule.own_cluster:
        yield "Runs on a cluster of its own, since it breaks things."
    if rule.faults:
        hooks = ", ".join(f"`{fault.value}`" for fault in rule.faults)
        yield f'Needs the harness to inject a fault: {hooks}; without that it reads "not exercised".'
