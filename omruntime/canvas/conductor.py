"""How a canvas goes on: whoever has written the end of a step looks for what comes next, and sends it.

Everything here may be done again, by anybody: what is sent twice loses at the claim, what is recorded twice at the
insert. A step's request is deleted only when what follows from its end is done, so that a steward can do it where
the one who should have done it has died.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omruntime.auth import Auth
from omruntime.canvas.joins import Joins, MemoryJoins
from omruntime.canvas.plan import Plan
from omruntime.canvas.records import PAGE, CanvasRecords
from omruntime.errors import RuntimeClosed, TaskRevoked, UnknownTask, UpstreamFailed
from omruntime.ledger import End, Ledger, Request, TaskState, callback_id, step_id, step_number
from omruntime.ledger.paging import pages
from omruntime.wire import end_of, end_with, success

__all__ = ["Conductor", "Send"]

Send = Callable[[Sequence[tuple[str, Request]]], None]
"""Sends tasks to the engine."""


class Conductor:
    """Brings the canvases of one store forward.

    Args:
        ledger: the store's ledger.
        auth: keys that sign the ends of steps that never run, and of canvases.
        send: sends tasks whose turn has come; None where there is no engine, and a steward has to do it.
        ended: told of each canvas that was brought to its end here: its id, its packed outcome, and the mailbox of
            the process that has submitted it.
        incarnation: names the engine's present life.
    """

    def __init__(
        self,
        ledger: Ledger,
        auth: Auth,
        send: Send | None,
        ended: Callable[[str, bytes, str], None] = lambda canvas, outcome, mailbox: None,
        incarnation: Callable[[], str] = str,
    ) -> None:
        self.records = CanvasRecords(ledger)
        self._ledger = ledger
        self._auth = auth
        self._send = send
        self._ended = ended
        self._incarnation = incarnation
        self._joins: dict[str, Joins] = {}

    def keep(self, canvas: str) -> None:
        """Note that all steps of a canvas end in this process, or not at all: nobody else has to know which do."""
        self._joins[canvas] = MemoryJoins()

    def task_ended(
        self, task: str, canvas: str, succeeded: bool, *, again: bool = False, callback: bool = True
    ) -> None:
        """Do what follows from the end of a task: send its callback, and bring its canvas forward.

        Args:
            task: id of the task.
            canvas: id of the canvas that it is a step of; empty for none.
            succeeded: whether it has ended as SUCCESS.
            again: somebody has begun to do this before.
            callback: whether it may have one.
        """
        if task == canvas:
            self._complete(canvas)
            return
        if callback:
            self.call_back([task])
        if canvas and (not again or self._takes_effect(task, canvas)):
            self._step_ended(task, canvas, succeeded, again)

    def _takes_effect(self, task: str, canvas: str) -> bool:
        """Tell whether the end of a step matters now: that of one that never ran does when its turn has come."""
        states = self._ledger.states([task, canvas])
        step, whole = states[task], states[canvas]
        if not isinstance(step, TaskState) or not isinstance(whole, TaskState) or whole.end is not None:
            return False
        if step.runs:
            return True
        before = self.records.plan(canvas).before(step_number(task))
        return len(self._ledger.ends(step_id(canvas, number) for number in before)) == len(before)

    def _complete(self, canvas: str) -> None:
        """Do what is left to do of a canvas that has ended, by somebody who did not live to do it."""
        ended = self._ledger.ends([canvas]).get(canvas)
        if ended is not None and ended[1].state == "REVOKED":
            self._revoke_steps(canvas, "was cancelled with its canvas")
        self.records.clear(canvas)

    def call_back(self, tasks: Sequence[str]) -> None:
        """Send the callbacks of tasks that are over, where they have one."""
        requests = self._ledger.requests([callback_id(task) for task in tasks])
        try:
            self._send_noted(list(requests.items()))
        except RuntimeClosed:
            if not all(request.runtime for request in requests.values()):
                # It is detached work: a steward sends it.
                raise
            why = "was revoked: its runtime was closed before its turn came"
            for task, state in self._ledger.states(requests).items():
                if isinstance(state, TaskState) and state.end is None:
                    self._ledger.close_task(task, state.attempt, self._revoked(task, state, why))

    def _send_noted(self, tasks: Sequence[tuple[str, Request]]) -> None:
        """Send tasks and tell stewards that they do not wait any more; those of a tied runtime nobody sends again."""
        if not tasks or self._send is None:
            return
        self._send(tasks)
        untied = [task for task, request in tasks if not request.runtime]
        if untied:
            self._ledger.note_sent(untied, self._incarnation())

    def _step_ended(self, task: str, canvas: str, succeeded: bool, again: bool) -> None:
        try:
            plan = self.records.plan(canvas)
        except UnknownTask:
            # The canvas is over and forgotten, or was never committed: nothing follows.
            return
        place, failed = step_number(task), "" if succeeded else task
        while (above := plan.parent(place)) is not None:
            parent, position = above
            siblings = plan.children(parent)
            if plan.kind(parent) == "sequence" or position == plan.members(parent):
                following = siblings[position + 1] if position + 1 < len(siblings) else None
            else:
                joins = self._joins.get(canvas, self.records)
                first_failed = joins.join(canvas, ~parent, position, plan.members(parent), failed, again=again)
                if first_failed is None:
                    return
                failed = first_failed
                following = siblings[-1] if plan.kind(parent) == "mapreduce" else None
            if following is not None:
                if not failed:
                    self._begin(canvas, plan, following, again)
                    return
                self._skip(canvas, range(plan.span(following).start, plan.span(parent).stop), failed)
            place = parent
        self._finish(canvas, plan, failed)

    def _begin(self, canvas: str, plan: Plan, place: int, again: bool) -> None:
        """Send the steps that a place begins with; one that was ended before its turn came is over now."""
        for page in pages(plan.first_steps(place), PAGE):
            tasks = [step_id(canvas, number) for number in page]
            requests = self._ledger.requests(tasks)
            self._send_noted([(task, requests[task]) for task in tasks if task in requests])
            states = self._ledger.states([task for task in tasks if task not in requests])
            for task, state in states.items():
                if isinstance(state, TaskState) and state.end is not None and not state.runs:
                    self._step_ended(task, canvas, False, again)

    def _skip(self, canvas: str, steps: range, failed: str) -> None:
        """End steps that can never run, since a step before them has failed."""
        store, auth = self._ledger.store, self._auth

        def make_end(task: str, state: TaskState) -> End:
            error = UpstreamFailed(
                f"{state.name} (task {task}) never ran, since step {failed} before it failed; "
                "see what that one raised",
                task=task,
                upstream=failed,
            )
            return end_of(task, state, error, store, auth)

        skipped, _ = self.records.bar(canvas, steps, make_end)
        self.call_back(skipped)

    def _finish(self, canvas: str, plan: Plan, failed: str) -> None:
        state = self._ledger.states([canvas])[canvas]
        if not isinstance(state, TaskState) or state.end is not None:
            return
        if failed:
            error = UpstreamFailed(f"step {failed} of {state.name} {canvas} failed", task=canvas, upstream=failed)
            end = end_of(canvas, state, error, self._ledger.store, self._auth)
        else:
            outcome, blobs = success(None, task=canvas, attempt=1, store=self._ledger.store, auth=self._auth)
            end = end_with(state, "SUCCESS", outcome, blobs)
        self._joins.pop(canvas, None)
        if self.records.end(canvas, end):
            self._ended(canvas, end.outcome, _mailbox(state))
            self.records.clear(canvas)

    def cancel(self, canvas: str, why: str) -> tuple[bool, list[str]]:
        """End a canvas as revoked, with all its steps that are not over; tell whether it was this that ended it.

        Returns:
            Whether it was not over before, and the steps that were running: whoever calls this has them stopped.
        """
        state = self._ledger.state(canvas)
        if state.end is not None:
            return False, []
        end = self._revoked(canvas, state, why)
        if not self.records.end(canvas, end):
            return False, []
        self._joins.pop(canvas, None)
        self._ended(canvas, end.outcome, _mailbox(state))
        running = self._revoke_steps(canvas, why)
        self.records.clear(canvas)
        return True, running

    def _revoked(self, task: str, state: TaskState, why: str) -> End:
        error = TaskRevoked(f"{state.name} (task {task}) {why}", task=task)
        return end_of(task, state, error, self._ledger.store, self._auth, status="REVOKED")

    def _revoke_steps(self, canvas: str, why: str) -> list[str]:
        """End all steps that are not over, and return those that were running."""
        plan = self.records.plan(canvas)

        def make_end(task: str, each: TaskState) -> End:
            return self._revoked(task, each, why)

        never_ran, running = self.records.bar(canvas, range(plan.steps), make_end)
        for task, each in running.items():
            self._ledger.close_task(task, each.attempt, make_end(task, each))
        self.call_back(never_ran)
        return list(running)


def _mailbox(state: TaskState) -> str:
    return state.request.mailbox if state.request is not None else ""
