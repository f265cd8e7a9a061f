"""Random histories of tasks: submitted, asked for, cancelled, killed and let go, beside a model of the contract."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from omruntime import AsyncResult
from omruntime.abc import Capability
from omruntime.errors import ResultTimeout, TaskRevoked, WorkerLost
from omruntime_conformance.context import Context
from omruntime_conformance.libraries import st
from omruntime_conformance.oracle import Entry, Gate
from omruntime_conformance.tasks import Trouble

__all__ = ["Event", "histories", "live_through"]

DEFAULT_ATTEMPTS = 3
_RANK = {"PENDING": 0, "STARTED": 1, "SUCCESS": 2, "FAILURE": 2, "REVOKED": 2}


@dataclass(frozen=True)
class Event:
    """One thing that is done: to a new task, or to one of those that there are."""

    what: str
    task: int = 0
    fails: bool = False
    retries: int | None = None

    def __repr__(self) -> str:
        if self.what == "submit":
            return f"submit(fails={self.fails}, retries={self.retries})"
        return f"{self.what}({self.task})"


def histories() -> st.SearchStrategy[list[Event]]:
    """Return what happens to one, two or three tasks, mixed.

    It is drawn evenly: left to itself Hypothesis likes short histories, and such as differ little from one another,
    and hardly any of them has a task that is killed and cancelled, or killed until it is lost.
    """
    return st.integers(0, 2**32 - 1).map(lambda seed: _history(random.Random(seed)))


def _history(draw: random.Random) -> list[Event]:
    lives = [["submit", *_life(draw)] for _ in range(draw.randint(1, 3))]
    events: list[Event] = []
    numbers: dict[int, int] = {}
    while left := [number for number, life in enumerate(lives) if life]:
        chosen = draw.choice(left)
        task = numbers.setdefault(chosen, len(numbers))
        events.append(_event(draw, lives[chosen].pop(0), task))
    return events


def _life(draw: random.Random) -> list[str]:
    """Return what happens to one task: it is killed so often, comes to its end, and is looked at."""
    kills = draw.choice((0, 0, 1, 1, 2, 3))
    life = [what for _ in range(kills) for what in ("kill", draw.choice(("begin", "look", "get")))]
    life.append(draw.choice(("cancel", "cancel", "open", "look")))
    return life + draw.choices(("get", "look", "cancel"), k=draw.randint(0, 2))


def _event(draw: random.Random, what: str, task: int) -> Event:
    if what != "submit":
        return Event(what, task)
    return Event(what, task, fails=draw.random() < 0.5, retries=draw.choice((None, None, 0, 1, 2)))


@dataclass
class _Task:
    """A task as the contract has it."""

    name: str
    handle: AsyncResult
    gate: Gate
    fails: bool
    retries: int | None
    is_open: bool = False
    cancelled: bool = False
    kills: int = 0
    seen: str = "PENDING"

    @property
    def lost(self) -> bool:
        """Whether it has been killed as often as it may be started."""
        return self.kills >= (DEFAULT_ATTEMPTS if self.retries is None else 1 + self.retries)

    @property
    def waits(self) -> bool:
        """Whether it cannot end before something happens to it."""
        return not (self.is_open or self.cancelled or self.lost)

    def statuses(self) -> set[str]:
        """Return what it may read now."""
        if self.cancelled:
            return {"REVOKED"}
        if self.waits:
            return {"PENDING", "STARTED"}
        ends = {"FAILURE"} if self.fails or self.lost else {"SUCCESS"}
        return {"PENDING", "STARTED"} | ends

    def executions(self) -> set[int]:
        """Return how often it may have been started by now, where it is over."""
        whole = self.kills if self.lost else self.kills + 1
        if self.fails and self.retries is not None:
            whole = 1 + self.retries
        return {*range(self.kills, whole + 1)} if self.cancelled else {whole}


@dataclass
class _World:
    ctx: Context
    prefix: str
    slots: int
    tasks: list[_Task] = field(default_factory=list)

    def submit(self, event: Event) -> None:
        """Submit a task that waits at a gate of its own."""
        ctx, name = self.ctx, f"{self.prefix}{len(self.tasks)}"
        gate = ctx.gate(name)
        runtime = ctx.om.runtime if event.retries is None else ctx.om.runtime.require(retries=event.retries)
        fail = name if event.fails else ""
        handle = runtime.script("step").run(name, log=str(ctx.log), gate=str(gate), name=name, fail=fail)
        self.tasks.append(_Task(name, handle, gate, event.fails, event.retries))

    def open(self, task: _Task) -> None:
        """Let a task go on, on this attempt and on every later one."""
        task.is_open = True
        task.gate.open()

    def look(self, task: _Task) -> None:
        """Read the status, which never goes back."""
        for handle in (task.handle, self.ctx.om.runtime.result(task.handle.id)):
            status = handle.status
            assert status in task.statuses(), task
            assert _RANK[status] >= _RANK[task.seen], f"{task} went back to {status}"
            task.seen = status

    def get(self, task: _Task) -> None:
        """Ask for the value, in vain while the task waits; not where others may keep every worker from it."""
        ctx, handle = self.ctx, task.handle
        if task.is_open and not self._has_room(0):
            return
        if task.waits:
            with pytest.raises(ResultTimeout):
                handle.get(timeout=0)
        elif task.cancelled:
            ctx.fails(handle, TaskRevoked)
        elif task.lost:
            error = ctx.fails(handle, WorkerLost)
            assert (error.attempt, error.signal) == (task.kills, 9), task
        elif task.fails:
            assert ctx.fails(handle, Trouble).args == (task.name,), task
        else:
            assert ctx.value(handle) == task.name, task

    def cancel(self, task: _Task) -> None:
        """Cancel a task; one that can end by itself may be faster."""
        if Capability.CANCEL_RUNNING not in self.ctx.capabilities:
            return
        waited, cancelled = task.waits, task.handle.cancel()
        assert cancelled or not waited, f"{task} is not over and could not be cancelled"
        assert not (cancelled and task.cancelled), f"{task} was cancelled twice"
        task.cancelled = task.cancelled or cancelled
        self.look(task)

    def _has_room(self, mine: int) -> bool:
        """Tell whether some worker is free of tasks that wait at their gates, apart from ``mine`` of them."""
        return sum(each.waits for each in self.tasks) - mine < self.slots

    def begin(self, task: _Task) -> Entry | None:
        """Wait for a worker to begin a task, again where it was killed; None where it is not sure to get one.

        It is where no more tasks wait at their gates than there are workers.
        """
        if not task.waits or not self._has_room(1):
            return None
        return self.ctx.begun(task.handle, task.name, task.kills + 1)[-1]

    def kill(self, task: _Task) -> None:
        """Kill the worker of a task that is sure to have one."""
        running = self.begin(task)
        if running is not None:
            self.ctx.kill(running.pid)
            task.kills += 1

    def end(self) -> None:
        """Let everything end, and look at what has become of it."""
        for task in self.tasks:
            if task.waits:
                self.open(task)
        for task in self.tasks:
            self.get(task)
            self.get(task)
            self.look(task)
            assert task.handle.ready()
            starts = len(self.ctx.log.starts(task.name))
            assert starts in task.executions(), f"{task} was started {starts} times"


def live_through(ctx: Context, history: list[Event], prefix: str) -> None:
    """Do what a history says, and compare with the contract at each step.

    Args:
        ctx: the rule's world.
        history: the events.
        prefix: tells the tasks of this history from those of others.
    """
    world = _World(ctx, prefix, ctx.slots())
    for event in history:
        if event.what == "submit":
            world.submit(event)
        else:
            act: Callable[[_Task], Any] = getattr(world, event.what)
            act(world.tasks[event.task])
    world.end()
