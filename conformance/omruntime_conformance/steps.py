"""Steps of canvases: they note what they are handed, wait at gates, and fail where they are told to."""

from __future__ import annotations

from typing import Any

from omruntime import virtualobj
from omruntime_conformance.tasks import Trouble, note, pass_gate

__all__ = ["HANDED", "modelled", "step", "told"]

HANDED = ("result", "results", "state")
"""Names under which a script may be handed something."""


@virtualobj
def step(data: Any = None, log: str = "", gate: str = "", name: str = "step", fail: str = "", **given: Any) -> Any:
    """Note what was handed on, wait at the gate where there is one, and return the first argument, or the name."""
    note(log, "start", name, handed={key: given[key] for key in HANDED if key in given})
    if gate:
        pass_gate(gate)
    note(log, "end", name)
    if fail:
        raise Trouble(fail)
    return name if data is None else data


@virtualobj
def modelled(
    data: Any = None, method: str = "", log: str = "", gate: str = "", name: str = "model", fail: str = ""
) -> Any:
    """Note the method and the data, wait at the gate where there is one, and return both."""
    note(log, "start", name, method=method, data=data)
    if gate:
        pass_gate(gate)
    note(log, "end", name)
    if fail:
        raise Trouble(fail)
    return [method, data]


@virtualobj
def told(state: str = "") -> str:
    """Return the state that the task ended in which this is the callback of."""
    return state
