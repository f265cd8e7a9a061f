"""What can be seen of a runtime from outside: who is there, at what, and why a task may have to wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from omruntime.abc import Backend
from omruntime.client.requirements import LOCAL, is_local_label
from omruntime.ledger import Claim, Ledger, Request, TaskState

if TYPE_CHECKING:
    from omruntime.client.runtime import OmegaRuntime

__all__ = ["labels_there", "missing_label", "runtime_status"]


def missing_label(ledger: Ledger, task: str, runtime: OmegaRuntime) -> str:
    """Return a warning when a task waits for a label that no worker has; empty when all is well."""
    state = ledger.states([task])[task]
    if isinstance(state, Exception) or state.request is None or state.claim is not None or state.end is not None:
        return ""
    is_canvas = state.request.canvas == task
    labels = ledger.labels_of_open_steps(task) if is_canvas else [state.request.label]
    for label in labels:
        there = labels_there(label, runtime)
        if there is not None:
            what = "a step of canvas" if is_canvas else "task"
            return (
                f"{what} {task} waits for a worker of label {label!r}, and there is none; labels there are: {there}"
            )
    return ""


def labels_there(label: str, runtime: OmegaRuntime) -> str | None:
    """Return the labels that there are, as text, when no worker has all of ``label``; None when one has."""
    if is_local_label(label) and not runtime.is_local:
        # It is its client who has workers for it.
        return None
    wanted, known = set(label.split(",")) - {LOCAL}, runtime.labels()
    if any(wanted <= set(labels) for labels in known.values()):
        return None
    return ", ".join(sorted({each for labels in known.values() for each in labels})) or "none"


def runtime_status(runtime: OmegaRuntime) -> dict[str, Any]:
    """Return what the engine is, who works for it, and at what; see `OmegaRuntime.status`."""
    backend: Backend = runtime.engine.backend
    queued: Counter[str] = Counter()
    later = 0
    running: dict[str, list[dict[str, Any]]] = {}
    for task, request, state in _open_tasks(runtime.om.session.ledger, backend):
        if state.claim is not None:
            running.setdefault(state.claim.worker, []).append(_running(task, state, state.claim))
        elif request.waits:
            later += 1
        else:
            queued[request.label] += 1
    workers: dict[str, dict[str, Any]] = {
        each.name: {
            "labels": list(each.labels),
            "host": each.host,
            "pid": each.pid,
            "slots": each.slots,
            "running": running.pop(each.name, []),
        }
        for each in backend.workers()
    }
    elsewhere = [task for tasks in running.values() for task in tasks]
    return {
        "engine": backend.name,
        "address": runtime.engine.address,
        "capabilities": sorted(each.name for each in backend.capabilities),
        "workers": workers,
        "elsewhere": elsewhere,
        "queued": dict(queued),
        "later": later,
    }


def _open_tasks(ledger: Ledger, backend: Backend) -> Iterator[tuple[str, Request, TaskState]]:
    """Yield the tasks of this engine that have not ended, oldest first; a canvas is told by its steps."""
    requests = {
        task: request
        for task, request in ledger.open_tasks()
        if (request.runtime == backend.lease if backend.lease else request.engine == backend.address)
        and request.canvas != task
    }
    states = ledger.states(requests)
    for task, request in requests.items():
        state = states[task]
        if isinstance(state, TaskState) and state.end is None:
            yield task, request, state


def _running(task: str, state: TaskState, claim: Claim) -> dict[str, Any]:
    started = datetime.fromtimestamp(claim.started, UTC).isoformat()
    return {"id": task, "name": state.name, "attempt": state.attempt, "started": started}
