"""What a running task knows of itself, and what actions need to do their work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from omruntime.abc import Capability, WorkerInfo
from omruntime.auth import Auth
from omruntime.store import Effect, ObjectStore, discard_group
from omruntime.wire import CallHeader
from omruntime.worker.sites import Site

__all__ = ["CURRENT", "Action", "TaskContext", "TaskHandle", "TaskOmega", "TaskRuntime"]


class TaskHandle(Protocol):
    """What an action uses of the handle of a task that it has submitted."""

    def future(self) -> Future[Any]:
        """Return a future of the value; while it is open this task waits."""

    def cancel(self) -> bool:
        """Cancel the task."""


class TaskRuntime(Protocol):
    """What actions use of the runtime that the client's package provides."""

    def require(self, label: str) -> TaskRuntime:
        """Return a runtime whose tasks run on workers of these labels."""

    def can(self, capability: Capability) -> bool:
        """Tell whether the engine has a capability."""

    def workers(self) -> list[WorkerInfo]:
        """List the live workers."""

    def act(self, action: str, request: dict[str, Any], name: str = "") -> TaskHandle:
        """Have a worker carry out an action of the kind ``runtime``."""


class TaskOmega(Protocol):
    """What the worker uses of the Omega that the client's package provides."""

    @property
    def runtime(self) -> TaskRuntime:
        """The runtime that the task's host provides."""

    @property
    def datasets(self) -> ObjectStore:
        """Stored data."""

    @property
    def models(self) -> ObjectStore:
        """Stored models."""

    @property
    def scripts(self) -> ObjectStore:
        """Stored scripts."""

    @property
    def jobs(self) -> ObjectStore:
        """Stored notebooks."""


CURRENT: ContextVar[TaskContext | None] = ContextVar("omruntime_task", default=None)
"""The task that this thread runs."""


@dataclass(slots=True)
class TaskContext:
    """One attempt of a task, where it runs."""

    header: CallHeader
    attempt: int
    site: Site
    om: TaskOmega
    scratch: Path
    """Directory that the runners of one host share."""
    auth: Auth
    keep: Callable[[list[Effect], str], None]
    """Tells the host what has been stored that counts however the task ends, and the name of its executed copy."""
    cleanup: ExitStack = field(default_factory=ExitStack)
    """Closed when the outcome has been encoded: until then the task's modules can be imported."""
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    """Called when the outcome is on its way: what the next task may profit from, and this one need not wait for."""
    staged: list[ObjectStore] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Distinguishes objects of the same name in different stores and buckets."""
        return f"{self.header.store_id}/{self.header.bucket}"

    def stage(self, objects: ObjectStore, *, kept: bool = False) -> ObjectStore:
        """Return a view of a store whose puts become current if this attempt wins, ``kept`` if it is the last."""
        view = objects.staged(self.header.id, self.attempt, kept=kept)
        self.staged.append(view)
        return view

    def unstage(self, view: ObjectStore) -> None:
        """Take back what a view has staged."""
        self.staged.remove(view)
        self.site.store.commit([discard_group(view.effects)])

    def effects(self) -> list[Effect]:
        """Return what this attempt has staged."""
        return [effect for view in self.staged for effect in view.effects]


Action = Callable[[TaskContext, Any], Any]
"""An action: from the context and the decoded arguments to the task's value."""
