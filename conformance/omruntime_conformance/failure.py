"""What a failure tells: the rule, where to read on, what the log showed, and the line that runs it alone."""

from __future__ import annotations

import textwrap

from omruntime_conformance.context import Context
from omruntime_conformance.registry import Rule

__all__ = ["DOCS", "explain_context", "explain_failure", "rule_link"]

DOCS = "docs/contract.md"


def rule_link(rule: Rule) -> str:
    """Return where the documentation has the rule."""
    return f"{DOCS}#{rule.id.lower()}"


def explain_context(exc: BaseException, ctx: Context) -> None:
    """Add to an exception what the tasks and the other clients of its rule did."""
    exc.add_note(f"log      what the tasks noted, in order\n{ctx.log.timeline()}")
    for number, output in enumerate(ctx.client_outputs()):
        exc.add_note(f"client   {number} printed\n{textwrap.indent(output.rstrip(), '  ')}")


def explain_failure(exc: BaseException, rule: Rule, backend: str, again: str) -> None:
    """Add to an exception which rule it broke, where to read on, and how to run the rule alone."""
    exc.add_note(f"rule     {rule.id}: {rule.sentence}")
    if rule.text:
        exc.add_note(textwrap.indent(rule.text, "         "))
    exc.add_note(f"backend  {backend}")
    exc.add_note(f"docs     {rule_link(rule)}")
    exc.add_note(f"again    {again}")
