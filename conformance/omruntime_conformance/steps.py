"""Steps of canvases: they note what they are handed, wait at gates, and fail where they are told to."""

from __future__ import annotations

from typing import Any

from omruntime import Metadata, virtualobj
from omruntime_conformance.tasks import Trouble, note, pass_gate

__all__ = ["HANDED", "NOTEBOOK", "leaf", "made_of", "modelled", "step", "told"]

HANDED = ("result", "results", "state")
"""Names under which a script may be handed something."""
NOTEBOOK = "notebook"
"""Stands for what a notebook hands on."""


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


def _text(value: Any) -> str:
    if isinstance(value, Metadata):
        # The copy of a notebook, whose name nobody can foretell.
        return NOTEBOOK
    return f"[{', '.join(map(_text, value))}]" if isinstance(value, list) else str(value)


def made_of(how: str, number: int, fails: bool, role: str, handed: Any) -> str:
    """Return what a step makes of what it is handed; short, whatever that is."""
    if fails:
        raise Trouble("step", number)
    text = _text(handed)
    if len(text) > 150:
        text = f"{text[:100]}~{sum(text.encode())}~{len(text)}"
    return f"{how}{number}({role}:{text})" if role else f"{how}{number}()"


@virtualobj
def leaf(
    data: Any = None, method: str = "run", how: str = "", number: int = 0, fails: bool = False, **given: Any
) -> str:
    """Be a step, as a script or as a model."""
    if method != "run":
        return made_of(how, number, fails, "X", data)
    role = next((role for role in ("result", "results") if role in given), "")
    return made_of(how, number, fails, role, given.get(role))
