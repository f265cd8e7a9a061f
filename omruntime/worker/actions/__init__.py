"""The actions: what a call asks a runner to do with a stored object."""

from __future__ import annotations

from omruntime.errors import UnsupportedCapability
from omruntime.worker.actions.jobs import JOB_ACTIONS
from omruntime.worker.actions.models import MODEL_ACTIONS
from omruntime.worker.actions.ping import PING_ACTIONS
from omruntime.worker.actions.scripts import SCRIPT_ACTIONS
from omruntime.worker.actions.search import BATCH_ACTIONS, SEARCH_ACTIONS
from omruntime.worker.context import Action

__all__ = ["find_action"]

_ACTIONS: dict[str, dict[str, Action]] = {
    "model": {**MODEL_ACTIONS, **SEARCH_ACTIONS},
    "script": SCRIPT_ACTIONS,
    "job": JOB_ACTIONS,
    "runtime": {**PING_ACTIONS, **BATCH_ACTIONS},
}


def find_action(kind: str, action: str) -> Action:
    """Return the action of a kind of object.

    Raises:
        UnsupportedCapability: this version has no such action.
    """
    found = _ACTIONS.get(kind, {}).get(action)
    if found is None:
        raise UnsupportedCapability(
            f"this worker knows no action {kind}.{action}; is the client of a newer version? upgrade the worker"
        )
    return found
