"""What has changed from one report to the next."""

from __future__ import annotations

from collections.abc import Iterator

from omruntime_conformance.report import Outcome, Report, Status

__all__ = ["differences"]


def differences(old: Report, new: Report) -> list[str]:
    """Return a line for each rule that ends otherwise in the new report, and for each capability that came or went.

    Times, dates and versions are no difference, nor is the wording of a failure.
    """
    return [*_capabilities(old, new), *_rules(old, new)]


def _capabilities(old: Report, new: Report) -> Iterator[str]:
    before, after = set(old.capabilities), set(new.capabilities)
    yield from (f"{name}: is not declared any more" for name in sorted(before - after))
    yield from (f"{name}: is declared now" for name in sorted(after - before))


def _rules(old: Report, new: Report) -> Iterator[str]:
    before = {each.rule: each for each in old.outcomes}
    after = {each.rule: each for each in new.outcomes}
    for id in sorted(before.keys() | after.keys()):
        if id not in before:
            yield f"{id}: a new rule: {_said(after[id])}"
        elif id not in after:
            yield f"{id}: is no rule any more; it was: {_said(before[id])}"
        elif _essence(before[id]) != _essence(after[id]):
            yield f"{id}: {_said(before[id])} -> {_said(after[id])}"


def _essence(outcome: Outcome) -> tuple[Status, str, str]:
    return outcome.status, outcome.link, "" if outcome.status.is_failure else outcome.reason


def _said(outcome: Outcome) -> str:
    return outcome.status.value + (f" ({outcome.reason})" if outcome.reason else "")
