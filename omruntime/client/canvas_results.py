"""Handles of canvases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omruntime.abc import Capability
from omruntime.canvas import ROOT, CanvasRecords, Conductor, Plan
from omruntime.client.group import GroupResult
from omruntime.client.progress import show_progress
from omruntime.client.result import AsyncResult
from omruntime.errors import ResultExpired, UpstreamFailed
from omruntime.ledger import End, TaskState, step_id
from omruntime.pictures import Picture, Section
from omruntime.wire import outcome_size

__all__ = ["CanvasResult"]


class CanvasResult(AsyncResult):
    """The handle of a canvas: its value is a sequence's last, a parallel's list, what a mapreduce reduces to.

    It is found by its id like that of any other task.
    """

    # -- values --------------------------------------------------------------------------------------------------

    @property
    def _plan(self) -> Plan:
        plan = self.__dict__.get("plan")
        if plan is None:
            plan = self.__dict__["plan"] = CanvasRecords(self._session.ledger).plan(self.id)
        return plan

    def steps(self) -> list[AsyncResult]:
        """Return the handles of all steps, in the order written."""
        return [self._step(number) for number in range(self._plan.steps)]

    def _step(self, number: int) -> AsyncResult:
        return AsyncResult(step_id(self.id, number), self._session, self._runtime)

    def read(self, packed: bytes) -> tuple[str, Any]:
        """Return the status, and the value of the whole, or the exception of the step that failed."""
        status, value = super().read(packed)
        if status == "SUCCESS":
            return status, self._value()
        if isinstance(value, UpstreamFailed) and value.upstream:
            # The step's own error, while its record is there.
            ended = self._session.ledger.ends([value.upstream]).get(value.upstream)
            if ended is not None:
                return status, AsyncResult(value.upstream, self._session, self._runtime).read(ended[1].outcome)[1]
        return status, value

    def _value(self) -> Any:
        wanted: list[int] = []
        self._plan.value(ROOT, wanted.append)
        ends = self._ends(wanted)
        return self._plan.value(ROOT, lambda number: self._value_of(number, ends))

    def _ends(self, numbers: Sequence[int]) -> dict[int, End]:
        tasks = {step_id(self.id, number): number for number in numbers}
        ledger, watcher = self._session.ledger, self._session.watcher
        ends = ledger.ends(tasks)
        if missing := [task for task in tasks if task not in ends]:
            # Those of a runtime that is gone end when somebody looks.
            for task, state in ledger.states(missing).items():
                if isinstance(state, TaskState):
                    watcher.attend(task, state)
            ends |= ledger.ends(missing)
        return {tasks[task]: end for task, (_, end) in ends.items()}

    def _outcome_of(self, number: int, ends: dict[int, End]) -> tuple[str, Any]:
        if number not in ends:
            raise ResultExpired(f"the value of step {step_id(self.id, number)} was forgotten or has expired")
        return self._step(number).read(ends[number].outcome)

    def _value_of(self, number: int, ends: dict[int, End]) -> Any:
        status, value = self._outcome_of(number, ends)
        if status != "SUCCESS":
            raise value
        return value

    def getall(self, return_exceptions: bool = False, timeout: float | None = None) -> list[Any]:
        """Wait for the whole canvas and return the values of all steps, in the order written.

        Args:
            return_exceptions: put the exception of a failed step in its place, instead of raising the first one.
            timeout: seconds to wait at the most.
        """
        try:
            self.get(timeout)
        except Exception:
            if not self.ready():
                raise
        numbers = range(self._plan.steps)
        ends = self._ends(numbers)
        if return_exceptions:
            return [self._outcome_of(number, ends)[1] for number in numbers]
        return [self._value_of(number, ends) for number in numbers]

    def collect(self) -> set[AsyncResult | GroupResult]:
        """Return the handles of a sequence's steps, one `GroupResult` for a parallel, both kinds for a mapreduce."""
        plan, found = self._plan, set[AsyncResult | GroupResult]()
        work = [ROOT]
        while work:
            place = work.pop()
            if place >= 0:
                found.add(self._step(place))
            elif plan.kind(place) == "sequence":
                work += plan.children(place)
            else:
                count = plan.members(place)
                together = [number for child in plan.children(place)[:count] for number in plan.span(child)]
                group = self.id if place == ROOT else f"{self.id}.{~place}"
                found.add(GroupResult(group, [self._step(number) for number in together]))
                work += plan.children(place)[count:]
        return found

    def progress(self) -> None:
        """Show a bar, in a terminal or a notebook, until the canvas is over; an interrupt ends the watching only."""
        plan = self._plan
        tasks = [step_id(self.id, number) for number in range(plan.steps)]
        show_progress(plan.kind(ROOT), self._session.ledger, tasks, self.ready)

    # -- control -------------------------------------------------------------------------------------------------

    def cancel(self) -> bool:
        """Stop what runs of the canvas and start nothing more of it; False when it is over already.

        Raises:
            UnsupportedCapability: a step runs, and the engine cannot stop a running task.
        """
        runtime, session = self._runtime, self._session
        state = self._state()
        if state.end is not None:
            return False
        if runtime is not None and self._step_runs():
            runtime.engine.need(Capability.CANCEL_RUNNING, "cancelling a canvas with a running step")
        backend = runtime.engine.backend if runtime is not None and runtime.engine.is_open else None
        send = runtime.engine.sender_for(state.request) if runtime is not None else None
        conductor = Conductor(session.ledger, session.auth, send)
        won, running = conductor.cancel(self.id, "was cancelled with its canvas")
        if backend is not None:
            for task in (*running, self.id):
                backend.cancel(task)
        return won

    revoke = cancel

    def _step_runs(self) -> bool:
        states = self._session.ledger.states([step_id(self.id, number) for number in range(self._plan.steps)])
        return any(isinstance(state, TaskState) and state.runs and state.end is None for state in states.values())

    def forget(self) -> bool:
        """Delete the records and the values of a canvas that is over and of all its steps; False while it is not."""
        try:
            if not self.ready():
                return False
        except ResultExpired:
            return True
        for step in self.steps():
            step.forget()
        return super().forget()

    def logs(self) -> str:
        """Return what the steps printed, in the order written."""
        return self._session.ledger.logs(step_id(self.id, number) for number in range(self._plan.steps))

    def _picture(self) -> Picture:
        from omruntime.client.canvas_portrait import canvas_picture
        from omruntime.client.group_portrait import MOST_TASKS

        state, plan = self._state(), self._plan
        ids = {step_id(self.id, number): number for number in range(min(plan.steps, MOST_TASKS))}
        found = self._session.ledger.states(ids)
        steps = {ids[id]: each for id, each in found.items() if isinstance(each, TaskState)}
        return canvas_picture(self.id, state, plan, steps, self._shown_outcome(state))

    def _shown_outcome(self, state: TaskState) -> list[Section]:
        """Return what to show of the value of the step that decides, or of the error; no list of values is read."""
        from omruntime.client.portrait import outcome_sections

        number, end = self._plan.deciding(ROOT), state.end
        if end is None or (state.status == "SUCCESS" and number < 0):
            return []
        decided = self._ends([number]) if state.status == "SUCCESS" else {}
        size = outcome_size(decided.get(number, end).outcome, self._session.auth)
        return list(outcome_sections(state.status, size, lambda: self.read(end.outcome)[1]))

    def __repr__(self) -> str:
        return f"<CanvasResult: {self.id}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.id, self._session.store.url)


def _restore(id: str, url: str) -> CanvasResult:
    from omruntime.client.attach import attached_session

    return CanvasResult(id, attached_session(url), None)
