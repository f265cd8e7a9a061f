"""What all views of one Omega share: the store, the keys, the runtime, and the end of all three."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

from omruntime.abc import Store
from omruntime.auth import Auth, default_auth
from omruntime.config import runtime_url, store_url
from omruntime.errors import RuntimeClosed, SignatureError
from omruntime.ledger import Ledger
from omruntime.masking import mask
from omruntime.store import open_shared, release_shared

if TYPE_CHECKING:
    from omruntime.client.engine import Engine
    from omruntime.client.runtime import OmegaRuntime

from omruntime.client.watcher import Watcher

__all__ = ["Session"]

_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


class Session:
    """One opened Omega; everything connects at first use.

    Args:
        store: URL of the store, or None for the configured one.
        runtime: a runtime, its URL, or None for the configured one.
        auth: the keys, or None for the configured ones.
        opened: a store that is open already, and that somebody else closes.
        create: make the store where there is none.
    """

    def __init__(
        self,
        store: str | None,
        runtime: OmegaRuntime | str | None,
        auth: Auth | None,
        opened: Store | None = None,
        *,
        create: bool = True,
    ) -> None:
        self._lock = threading.RLock()
        self._store_url = store
        self._store = opened
        self._owns_store = opened is None
        self._creates = create
        self._auth = auth
        self._runtime_url = runtime if isinstance(runtime, str) else None
        self._runtime: OmegaRuntime | None = None
        self._embedded: OmegaRuntime | None = None
        self._draining: list[Engine] = []
        self._watcher: Watcher | None = None
        self._pid = os.getpid()
        self.closed = False
        _sessions.add(self)
        if runtime is not None and not isinstance(runtime, str):
            self.adopt(runtime)

    @classmethod
    def open_at(cls, url: str) -> Session | None:
        """Return a session of this process that has the store at ``url`` open."""
        for session in list(_sessions):
            if session._store is not None and not session.closed and session._store.url == url:  # noqa: SLF001
                return session
        return None

    @property
    def auth(self) -> Auth:
        """The keys that stored objects are signed with."""
        with self._lock:
            if self._auth is None:
                self._auth = default_auth()
            return self._auth

    @property
    def store(self) -> Store:
        """The store, opened at first use.

        Raises:
            StoreUnavailable: it cannot be opened.
            RuntimeClosed: the Omega was closed.
        """
        if self._store is None or self.closed:
            with self._lock:
                self.check_open()
                if self._store is None:
                    self._store = open_shared(store_url(self._store_url), create=self._creates)
        return self._store

    @property
    def ledger(self) -> Ledger:
        """The ledger of the store."""
        return Ledger(self.store)

    @property
    def watcher(self) -> Watcher:
        """What looks into the ledger for those who wait."""
        with self._lock:
            self.check_open()
            if self._watcher is None:
                self._watcher = Watcher(self.ledger, self.auth)
            return self._watcher

    def runtime(self) -> OmegaRuntime:
        """Return the runtime; the configured one is made at first use."""
        from omruntime.client.runtime import OmegaRuntime

        with self._lock:
            self.check_open()
            if self._runtime is None:
                self.adopt(OmegaRuntime.from_url(runtime_url(self._runtime_url), auth=self.auth))
            assert self._runtime is not None
            return self._runtime

    def embedded(self) -> OmegaRuntime:
        """Return the local workers beside another engine; they begin at first use and end with the Omega."""
        from omruntime.client.runtime import OmegaRuntime

        with self._lock:
            self.check_open()
            if self._embedded is None:
                self._embedded = OmegaRuntime.from_url("local://", auth=self.auth)
                self._embedded.engine.add_owner(self)
            return self._embedded

    @property
    def present_runtime(self) -> OmegaRuntime | None:
        """The runtime, if there is one already."""
        return self._runtime

    def adopt(self, runtime: OmegaRuntime) -> None:
        """Take a runtime over: it is closed with this Omega; the one it replaces drains and stops."""
        with self._lock:
            self.check_open()
            self._agree_on_keys(runtime)
            old, self._runtime = self._runtime, runtime
            runtime.engine.add_owner(self)
            if old is not None and old.engine is not runtime.engine:
                old.engine.remove_owner(self, wait=True, background=True)
                self._draining = [each for each in (*self._draining, old.engine) if each.is_draining]

    def _agree_on_keys(self, runtime: OmegaRuntime) -> None:
        theirs = runtime.engine.auth
        if self._auth is None:
            self._auth = theirs
        if not (self._auth.accepts(theirs) and theirs.accepts(self._auth)):
            raise SignatureError(
                "this runtime has other keys than this Omega, so neither could read what the other signs; "
                "make it with the same: auth=om.runtime.auth"
            )

    def check_open(self) -> None:
        """Raise where the Omega is closed.

        Raises:
            RuntimeClosed: it is.
        """
        if self.closed:
            raise RuntimeClosed("this Omega is closed; make a new one: om = Omega()")

    def close(self, wait: bool = True) -> None:
        """Free everything that this Omega started; a second call does nothing."""
        with self._lock:
            if self.closed or self._pid != os.getpid():
                return
            runtimes, draining = (self._runtime, self._embedded), self._draining
        for runtime in runtimes:
            if runtime is not None:
                runtime.engine.remove_owner(self, wait=wait)
        for engine in draining:
            engine.close(wait)
            engine.join()
        with self._lock:
            self.closed = True
            watcher, store = self._watcher, self._store
            self._watcher = self._store = None
        if watcher is not None:
            watcher.close()
        if store is not None and self._owns_store:
            release_shared(store)

    def __del__(self) -> None:
        # An Omega that nobody closed: its engine goes on until the interpreter exits, its store is not needed.
        if self._store is not None and self._owns_store and self._pid == os.getpid():
            release_shared(self._store)

    def __repr__(self) -> str:
        return mask(store_url(self._store_url))
