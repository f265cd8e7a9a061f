"""Recording of a canvas: what is called in its block becomes a step instead of a task.

Which block a call is in is told by a context variable, for the thread and the asyncio task that entered the block:
nothing is patched, and nobody else's calls are recorded.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from omruntime.canvas import ROOT, Node, Plan
from omruntime.client.requirements import Requirements
from omruntime.errors import CanvasError
from omruntime.ledger import new_id, step_id

if TYPE_CHECKING:
    from omruntime.client.canvas import StepResult
    from omruntime.client.runtime import OmegaRuntime
    from omruntime.client.session import Session
    from omruntime.client.submission import Prepared

__all__ = ["ACTIVE", "Recorder", "Recording", "recorder_for"]


class Recording:
    """One canvas while it is written: the tree, and the calls of its steps.

    Attributes:
        id: id of the canvas.
        lock: held while a step is written, and while the whole is submitted.
        has_run: it was submitted, and takes no more steps.
        steps: the calls in the order written, each with that of its callback.
        handles: the handles that were given out for them.
    """

    def __init__(self, session: Session) -> None:
        self.id = new_id()
        self.session = session
        self.has_run = False
        self.steps: list[tuple[Prepared, Prepared | None]] = []
        self.handles: list[StepResult] = []
        self.labels: dict[tuple[str, str, str], str] = {}
        """Labels that are stored with the objects of the steps, each looked up once."""
        self._kinds: list[str] = []
        self._children: list[list[int]] = []
        self._open: list[int] = []
        self.lock = threading.RLock()

    def add_node(self, parent: int | None, kind: str) -> int:
        """Begin a node inside another one, or the root; return its number."""
        if parent is not None:
            self._reopen(parent)
        number = len(self._kinds)
        self._kinds.append(kind)
        self._children.append([])
        if parent is not None:
            self._children[parent].append(-number)
        self._open.append(number)
        return number

    def add_step(self, node: int, step: tuple[Prepared, Prepared | None], handle: StepResult) -> None:
        """Add a step to a node."""
        children = self._children[node]
        if children and children[-1] > 0:
            children[-1] += 1
        else:
            children.append(1)
        self.steps.append(step)
        self.handles.append(handle)

    def _reopen(self, node: int) -> None:
        """Go on with a node that is open: those inside it are complete then.

        Raises:
            CanvasError: it is complete already, or the canvas was run.
        """
        if self.has_run:
            raise CanvasError("this canvas was run and takes no more steps; begin another one")
        if node not in self._open:
            raise CanvasError(
                f"this {self._kinds[node]} is complete: the canvas around it has gone on since; "
                "write its steps one after the other"
            )
        del self._open[self._open.index(node) + 1 :]

    def next_step(self, node: int) -> str:
        """Return the id of the step that a call of this node becomes; raises as `_reopen` does."""
        self._reopen(node)
        return step_id(self.id, len(self.steps))

    def kind(self, node: int) -> str:
        """Return the kind of a node."""
        return self._kinds[node]

    def plan(self) -> Plan:
        """Return the tree as it is now, checked.

        Raises:
            CanvasError: a part of it is empty, or has too few steps.
        """
        plan = Plan([Node(kind, children) for kind, children in zip(self._kinds, self._children, strict=True)])
        plan.check()
        return plan


class Recorder:
    """One node of a recording, and what its steps require unless they say otherwise."""

    def __init__(self, recording: Recording, node: int, requirements: Requirements) -> None:
        self.recording = recording
        self.node = node
        self.requirements = requirements
        self._owner = _whoever_asks()

    @property
    def is_root(self) -> bool:
        """Whether this is the canvas itself, and not a part of it."""
        return self.node == ~ROOT

    def begin(self, kind: str, requirements: Requirements) -> Recorder:
        """Begin a node inside this one."""
        with self.recording.lock:
            number = self.recording.add_node(self.node, kind)
        return Recorder(self.recording, number, requirements.over(self.requirements))

    def records(self, session: Session) -> bool:
        """Tell whether calls of whoever asks are recorded here, in the block of this node."""
        recording = self.recording
        return not recording.has_run and recording.session is session and self._owner == _whoever_asks()

    def record(
        self,
        runtime: OmegaRuntime,
        prepare: Callable[[OmegaRuntime, str], tuple[Prepared, Prepared | None]],
    ) -> StepResult:
        """Make a call the next step, and return its handle.

        Raises:
            CanvasError: this node takes no more steps.
        """
        from omruntime.client.canvas import StepResult

        view = runtime.with_requirements(runtime.requirements.over(self.requirements))
        # A canvas may be handed to several threads, and no two of them may write the same step.
        with self.recording.lock:
            task = self.recording.next_step(self.node)
            step = prepare(view, task)
            handle = StepResult(task, self.recording, runtime)
            self.recording.add_step(self.node, step, handle)
        return handle


ACTIVE: ContextVar[Recorder | None] = ContextVar("omruntime_canvas", default=None)
"""The innermost block that this context is in."""


def _whoever_asks() -> tuple[int, asyncio.Task[object] | None]:
    """Return the thread and the asyncio task: tasks made in a block inherit its context, but not the block."""
    try:
        return threading.get_ident(), asyncio.current_task()
    except RuntimeError:
        return threading.get_ident(), None


def recorder_for(runtime: OmegaRuntime) -> Recorder | None:
    """Return where calls of a runtime are recorded; None where they are ordinary."""
    if runtime.recorder is not None:
        return runtime.recorder
    active = ACTIVE.get()
    return active if active is not None and active.records(runtime.om.session) else None
