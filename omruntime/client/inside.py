"""The Omega of a running task: the same stores, and a runtime whose calls go through the task's host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager

from omruntime.abc import Backend, Call, Capability, WorkerInfo
from omruntime.auth import Auth
from omruntime.client.engine import Engine
from omruntime.client.omega import Omega
from omruntime.client.requirements import is_local_label
from omruntime.client.runtime import OmegaRuntime
from omruntime.client.session import Session
from omruntime.errors import UnsupportedCapability
from omruntime.worker.link import Answer, HostLink
from omruntime.worker.sites import Site

__all__ = ["open_inside"]


class _LinkBackend(Backend):
    name = "host"
    schemes = ()

    def __init__(self, link: HostLink) -> None:
        self._link = link
        self.address, self.lease = link.address, link.runtime
        self.capabilities = link.capabilities

    @classmethod
    def open(cls, url: str, **options: object) -> _LinkBackend:
        raise TypeError("the runtime of a task is opened by its host")

    def submit(self, call: Call) -> Future[bytes]:
        return self._link.submit(call)

    def submit_canvas(self, id: str, calls: Sequence[Call]) -> None:
        self._link.submit_canvas(id, calls)

    def workers(self) -> list[WorkerInfo]:
        return self._link.workers()

    def waiting(self, task: str, listener: Callable[[Answer], None]) -> AbstractContextManager[None]:
        return self._link.waiting(task, listener)

    def cancel(self, id: str) -> bool:
        return self._link.cancel(id)

    def close(self) -> None:
        return None


class RuntimeInside(OmegaRuntime):
    """The runtime of a running task."""

    def at(self, label: str | None) -> OmegaRuntime:
        """Return this runtime.

        Raises:
            UnsupportedCapability: the label is ``local``, and the client's embedded runtime cannot be reached.
        """
        if is_local_label(label) and not self.is_local:
            raise UnsupportedCapability(
                f"{label!r} was refused, and nothing submitted: 'local' is the embedded runtime of the client, which "
                f"a task on {self.engine.address} cannot reach; submit it from the client"
            )
        return self

    def during_wait(self, task: str, listener: Callable[[Answer], None]) -> AbstractContextManager[None]:
        """Give this task's place to another one while the block waits.

        Raises:
            UnsupportedCapability: the engine cannot have tasks wait for tasks.
        """
        self.engine.need(Capability.NESTED_WAIT, "waiting for a task inside a task")
        manager: AbstractContextManager[None] = self.backend.waiting(task, listener)
        return manager


def open_inside(site: Site, bucket: str, auth: Auth, link: HostLink) -> Omega:
    """Return the Omega of a task."""
    session = Session(site.store.url, None, auth, opened=site.store)
    runtime = object.__new__(RuntimeInside)
    runtime._om = None
    runtime.engine = Engine(_LinkBackend, lambda keys: _LinkBackend(link), auth, link.address)
    runtime.engine.connect()
    session.adopt(runtime)
    return Omega.of_session(session, bucket)
