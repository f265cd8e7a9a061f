"""What to show of a task: its state and times, and its value or error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from omruntime.errors import RemoteTraceback
from omruntime.ledger import TaskState
from omruntime.pictures.model import Picture, Section, Text
from omruntime.pictures.texts import clipped, clock, lasting, pretty, size
from omruntime.pictures.values import preview

__all__ = ["LARGEST", "outcome_sections", "run_times", "task_facts", "task_picture"]

LARGEST = 4_000_000
"""Bytes of a value above which it is not read for its picture."""
_LOG_LINES = 20
_SCRIPT = {"script", "args", "kwargs", "result", "runtime"}


def task_picture(id: str, state: TaskState, value_size: int, read: Callable[[], Any]) -> Picture:
    """Return what to show of a task.

    Args:
        id: its id.
        state: what the ledger says of it.
        value_size: bytes of its value or error.
        read: reads the value or the error, once the task is over.
    """
    end = state.end
    sections: list[Section] = []
    if end is not None:
        sections += outcome_sections(state.status, value_size, read)
        if end.logs:
            lines = end.logs.rstrip().count("\n") + 1
            title = f"output, {lines} {'line' if lines == 1 else 'lines'}"
            sections.append(Text(title, clipped(end.logs, _LOG_LINES, last=True), folded=True))
    return Picture(state.name or "task", "task", state.status, (("id", id), *task_facts(state)), sections)


def task_facts(state: TaskState) -> list[tuple[str, str]]:
    """Return where and when a task runs or ran, as names and texts."""
    claim, end, request = state.claim, state.end, state.request
    submitted = end.submitted if end is not None else request.submitted if request is not None else 0.0
    started, ended = run_times(state)
    facts = [
        ("worker", end.worker if end is not None else claim.worker if claim is not None else ""),
        ("label", request.label if request is not None and end is None else ""),
        ("attempt", str(state.attempt) if state.attempt > 1 else ""),
        ("submitted", clock(submitted)),
    ]
    if started:
        facts.append(("started", f"{clock(started)}, after {lasting(started - submitted)}"))
    if ended:
        facts.append(("ended", clock(ended) + (f", after {lasting(ended - started)}" if started else "")))
    elif started:
        facts.append(("running for", lasting(time.time() - started)))
    elif submitted:
        facts.append(("waiting for", lasting(time.time() - submitted)))
    return facts


def run_times(state: TaskState) -> tuple[float, float]:
    """Return when the attempt was started and ended, 0 for what has not happened: also where nobody ever ran it."""
    claim, end = state.claim, state.end
    if end is not None:
        return end.started if end.worker else 0.0, end.ended
    return claim.started if claim is not None and claim.worker else 0.0, 0.0


def outcome_sections(status: str, value_size: int, read: Callable[[], Any]) -> Iterator[Section]:
    """Yield what to show of a value or an error, which is read if it is not too large."""
    if value_size > LARGEST:
        yield Text("value", f"{size(value_size)}, which get() reads")
        return
    try:
        value = read()
    except Exception as exc:  # noqa: BLE001 - whatever loading a value raises is what there is to show of it
        yield Text("the value cannot be read", f"{type(exc).__name__}: {exc}", bad=True)
        return
    if status != "SUCCESS":
        yield from _error(status, value)
    elif isinstance(value, dict) and value.keys() >= _SCRIPT:
        yield preview(value["result"], "result")
        arguments = {name: value[name] for name in ("args", "kwargs") if value[name]}
        if arguments:
            yield Text("arguments", pretty(arguments), folded=True)
    else:
        yield preview(value)


def _error(status: str, error: BaseException) -> Iterator[Section]:
    yield Text("error" if status == "FAILURE" else "", f"{type(error).__name__}: {error}", bad=status == "FAILURE")
    if isinstance(error.__cause__, RemoteTraceback) and status == "FAILURE":
        yield Text("traceback", error.__cause__.text.rstrip(), folded=True)
