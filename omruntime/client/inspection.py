"""What can be seen of a runtime from outside: who is there, and why a task may have to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omruntime.ledger import Ledger

if TYPE_CHECKING:
    from omruntime.client.runtime import OmegaRuntime

__all__ = ["labels_there", "missing_label"]


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
    wanted, known = set(label.split(",")), runtime.labels()
    if any(wanted <= set(labels) for labels in known.values()):
        return None
    return ", ".join(sorted({each for labels in known.values() for each in labels})) or "none"
