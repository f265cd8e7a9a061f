"""A runtime's engine: opened once, shared by all views of the runtime, closed by its last owner."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from omruntime.abc import Backend, Call, Capability
from omruntime.auth import Auth, default_auth
from omruntime.errors import RuntimeClosed, UnsupportedCapability
from omruntime.ledger import Request

__all__ = ["Engine"]


class Engine:
    """The backend of a runtime, with those who own it.

    Args:
        kind: class of the backend.
        opener: opens the backend with the keys.
        auth: the runtime's keys, None for the configured ones.
        address: URL of the engine without credentials.
    """

    def __init__(
        self, kind: type[Backend], opener: Callable[[Auth], Backend], auth: Auth | None, address: str
    ) -> None:
        self._kind = kind
        self._opener = opener
        self._auth = auth
        self._lock = threading.RLock()
        self._backend: Backend | None = None
        self._owners: weakref.WeakSet[Any] = weakref.WeakSet()
        self._draining: threading.Thread | None = None
        self._pid = os.getpid()
        self.address = address
        self.closed = False

    @property
    def auth(self) -> Auth:
        """The keys that calls are signed with."""
        with self._lock:
            if self._auth is None:
                self._auth = default_auth()
            return self._auth

    @property
    def backend(self) -> Backend:
        """The opened backend.

        Raises:
            RuntimeClosed: the runtime was closed.
            BackendUnavailable: it cannot be opened.
        """
        if self._backend is None or self.closed or self._pid != os.getpid():
            with self._lock:
                if self.closed:
                    raise RuntimeClosed("this runtime is closed; make a new one and assign it: om.runtime = ...")
                if self._pid != os.getpid():
                    raise RuntimeClosed(
                        "this runtime belongs to the parent of this forked process; make a new Omega here"
                    )
                if self._backend is None:
                    self._backend = self._opener(self.auth)
                    _open.add(self)
        return self._backend

    def connect(self) -> None:
        """Open the backend now, so that errors come here and its workers are live."""
        assert self.backend is not None

    @property
    def is_open(self) -> bool:
        """Whether the backend has been opened and not closed."""
        return self._backend is not None and not self.closed

    def need(self, capability: Capability, what: str) -> None:
        """Refuse what the engine cannot do, or where it is not open, what no engine of its kind can.

        Raises:
            UnsupportedCapability: it cannot.
        """
        able = self._backend.capabilities if self._backend is not None else self._kind.capabilities
        if capability not in able:
            raise UnsupportedCapability(
                f"{what} needs the capability {capability.name} ({capability.value}), which the engine "
                f"{self.address.partition(':')[0] or self._kind.name!r} does not have",
                capability=capability.name,
            )

    def sender_for(self, request: Request | None) -> Callable[[Sequence[tuple[str, Request]]], None] | None:
        """Return what sends tasks that belong to a request; None where it was not this engine that had that."""
        if request is None or not self.is_open:
            return None
        mine = (request.engine, request.runtime) == (self.backend.address, self.backend.lease)
        return self._send if mine else None

    def _send(self, tasks: Sequence[tuple[str, Request]]) -> None:
        self.backend.submit_many(
            [Call(task, request.name, request.label, tuple(request.payload)) for task, request in tasks]
        )

    def add_owner(self, owner: object) -> None:
        """Keep the engine open for this owner."""
        with self._lock:
            self._owners.add(owner)

    def remove_owner(self, owner: object, *, wait: bool, background: bool = False) -> None:
        """Close the engine if this was its last owner.

        Args:
            owner: who does not need it any more.
            wait: let open tasks finish.
            background: return at once; they finish meanwhile.
        """
        with self._lock:
            self._owners.discard(owner)
            if self._owners:
                return
        if not background:
            self.close(wait)
            return
        self._draining = threading.Thread(target=self.close, args=(wait,), name="omruntime-drain", daemon=True)
        self._draining.start()

    def close(self, wait: bool = True) -> None:
        """Close the backend; a second call does nothing, but for one that does not wait any longer."""
        with self._lock:
            backend = self._backend if self._pid == os.getpid() else None
            self.closed = True
        if backend is not None:
            if wait:
                backend.close()
            else:
                backend.close_now()
            # Until here a wait that was interrupted can be ended by another call.
            self._backend = None
        _open.discard(self)

    def join(self) -> None:
        """Wait until a close in the background is through."""
        if self._draining is not None:
            self._draining.join()

    @property
    def is_draining(self) -> bool:
        """Whether it was closed in the background, and perhaps is not through."""
        return self._draining is not None


_open: set[Engine] = set()
"""Engines that are open: kept here, so that the exit of the interpreter waits for their tasks."""


@atexit.register
def _close_all() -> None:
    """Wait for open tasks as an Executor does; an interrupt stops waiting."""
    for engine in list(_open):
        try:
            engine.close()
            engine.join()
        except KeyboardInterrupt:
            engine.close(wait=False)
