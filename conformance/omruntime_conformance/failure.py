"""What a failure tells: the rule, what it expected, what the log showed, where to read on, how to run it alone."""

from __future__ import annotations

import linecache
import textwrap
import traceback

from omruntime_conformance.context import Context
from omruntime_conformance.judge import too_many_executions
from omruntime_conformance.registry import Rule
from omruntime_conformance.timeline import timeline

__all__ = ["DOCS", "explain_context", "explain_failure", "rule_link"]

DOCS = "docs/contract.md"
_MOST_OF_A_STATEMENT = 5
_MOST_OF_A_CLIENT = 40
"""Lines shown of what another client has printed: the last ones."""


def rule_link(rule: Rule) -> str:
    """Return where the documentation has the rule."""
    return f"{DOCS}#{rule.id.lower()}"


def explain_context(exc: BaseException, ctx: Context) -> None:
    """Add to an exception what was expected, and what tasks, suite and other clients of its rule did."""
    if expected := _expectation(exc):
        exc.add_note(_block("expected", expected))
    if overdone := [*too_many_executions(ctx.log.all())]:
        exc.add_note(_block("judge", "\n".join(overdone)))
    exc.add_note(_block("log", timeline(ctx.log.all())))
    for number, output in enumerate(ctx.client_outputs()):
        lines = output.rstrip().splitlines()[-_MOST_OF_A_CLIENT:] or ["(nothing)"]
        exc.add_note(_block("client", "\n".join([f"number {number} has printed", *lines])))


def explain_failure(exc: BaseException, rule: Rule, backend: str, again: str) -> None:
    """Add to an exception which rule it broke, where to read on, and the command that runs the rule alone."""
    exc.add_note(_block("rule", f"{rule.id}: {rule.sentence}"))
    if rule.text:
        exc.add_note(_block("", rule.text))
    exc.add_note(_block("backend", backend))
    exc.add_note(_block("docs", f"{rule_link(rule)}, or: omruntime-conformance explain {rule.id}"))
    exc.add_note(_block("again", again))


def _block(head: str, text: str) -> str:
    """Return text behind a heading, with all its lines below one another."""
    return head.ljust(10) + textwrap.indent(text, " " * 10)[10:]


def _expectation(exc: BaseException) -> str:
    """Return the statement of a rule, with its file and line, that was not true or could not be done."""
    for frame in reversed(traceback.extract_tb(exc.__traceback__)):
        path = frame.filename.replace("\\", "/")
        if "omruntime_conformance/rules/" in path and frame.lineno is not None:
            last = frame.end_lineno or frame.lineno
            lines = [linecache.getline(frame.filename, number) for number in range(frame.lineno, last + 1)]
            if len(lines) > _MOST_OF_A_STATEMENT:
                # A block: its first line says what it is.
                lines[1:] = []
            return f"{textwrap.dedent(''.join(lines)).rstrip()}\nat {frame.filename}:{frame.lineno}"
    return ""
