"""Retries: one budget of attempts, and a pause between them."""

from __future__ import annotations

import json
import os
from typing import Any

from omruntime import virtualobj
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import LOG_FILE, Trouble, note


@virtualobj
def _fails_until(data: int = 0, log: str = "", name: str = "") -> Any:
    """Fail on every attempt before the one of this number, as the log counts them."""
    note(log, "start", name)
    with open(os.path.join(log, LOG_FILE)) as stream:
        lines = [json.loads(line) for line in stream]
    attempt = sum(line["name"] == name and line["what"] == "start" for line in lines)
    if attempt < data:
        note(log, "end", name)
        raise Trouble(f"attempt {attempt}")
    return attempt


@rule("ERR-008", independent=True)
def retries_are_bounded(ctx: Context) -> None:
    """retries=n runs a failing task at most n more times, retry_delay apart, and the last error is the one reported.

    Retries are bounded so that a broken task ends, and apart so that what is away can come back. Look for retries of
    the engine's own beside the ledger's: they have to be switched off.
    """
    ctx.deploy(_fails_until, "fails")
    never = 1000

    def start(name: str, until: int = never, **terms: Any) -> Any:
        return ctx.om.runtime.require(**terms).script("fails").run(until, log=str(ctx.log), name=name)

    # The default is looked at too: the user's own exception is not retried unless somebody asks for it.
    expected = {"unset": ({}, 1), "none": ({"retries": 0}, 1), "two": ({"retries": 2}, 3)}
    handles = {name: start(name, **terms) for name, (terms, _) in expected.items()}
    recovers = start("recovers", until=2, retries=5)
    apart = start("apart", retries=1, retry_delay=0.5)
    for name, (_, attempts) in expected.items():
        assert ctx.fails(handles[name], Trouble).args == (f"attempt {attempts}",)
        assert handles[name].status == "FAILURE"
        assert len(ctx.log.starts(name)) == attempts
    assert ctx.value(recovers) == 2
    assert recovers.status == "SUCCESS"
    assert len(ctx.log.starts("recovers")) == 2
    ctx.fails(apart, Trouble)
    starts, ends = ctx.log.starts("apart"), ctx.log.entries("end", "apart")
    assert len(starts) == 2
    if starts[0].host == starts[1].host:
        assert starts[1].at - ends[0].at >= 0.5
