"""The stores that a host or a runner works on: opened at the first call that names them, by id and URL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from omruntime.abc import Store
from omruntime.errors import RuntimeClosed, StoreUnavailable
from omruntime.ledger import LeaseHolder, Ledger, TaskState
from omruntime.masking import mask
from omruntime.store import open_shared, release_shared

__all__ = ["Site", "Sites"]


class Site:
    """One store with its ledger and, for a host, the host's lease in it."""

    def __init__(self, store: Store, lease: LeaseHolder | None) -> None:
        self.store = store
        self.ledger = Ledger(store)
        self.lease = lease


class Sites:
    """The sites of one host or runner.

    Args:
        opener: opens a store by URL; never creates one.
        closer: closes what ``opener`` has opened.
        host: id of the host whose lease is held in every store; empty for a runner.
        period: the lease's period in seconds.
    """

    def __init__(
        self,
        opener: Callable[[str], Store] = open_shared,
        closer: Callable[[Store], None] = release_shared,
        host: str = "",
        period: float = 0.0,
    ) -> None:
        self._opener, self._closer = opener, closer
        self._host = host
        self._period = period
        self._lock = threading.Lock()
        self._sites: dict[str, Site] = {}
        self._closed = False

    def get(self, store_id: str, url: str) -> Site:
        """Return the site of a store.

        Raises:
            StoreUnavailable: it cannot be opened, or what lies at the URL is another store.
            RuntimeClosed: `close` was called.
        """
        site = self._sites.get(store_id)
        if site is not None:
            return site
        with self._lock:
            if self._closed:
                raise RuntimeClosed("this host is closed and takes no more calls; make a new runtime")
            if store_id not in self._sites:
                self._sites[store_id] = self._open(store_id, url)
            return self._sites[store_id]

    def know(self, url: str) -> None:
        """Open a store now: calls that name it by its id are about what is found at this URL.

        Raises:
            StoreUnavailable: it cannot be opened.
            RuntimeClosed: `close` was called.
        """
        store = self._opener(url)
        try:
            self.get(store.id, url)
        finally:
            self._closer(store)

    def _open(self, store_id: str, url: str) -> Site:
        store = self._opener(url)
        if store.id != store_id:
            found = store.id
            self._closer(store)
            raise StoreUnavailable(
                f"the call is about store {store_id}, and the worker finds store {found} at {mask(url)}; "
                "let both open the same store (--store, OMRUNTIME_STORE)"
            )
        lease = LeaseHolder(store, self._host, self._period) if self._host else None
        return Site(store, lease)

    def all(self) -> list[Site]:
        """Return the sites that are open."""
        with self._lock:
            return list(self._sites.values())

    def unbegun(self, tasks: Sequence[str]) -> list[str]:
        """Return those tasks that nobody has begun or ended; those of a store that does not answer too."""
        found: list[str] = []
        for site in self.all():
            try:
                states = site.ledger.states(tasks)
            except StoreUnavailable:
                return list(tasks)
            found += [t for t, state in states.items() if isinstance(state, TaskState) and state.status == "PENDING"]
        return found

    def close(self) -> None:
        """Give up the leases and close the stores."""
        with self._lock:
            sites, self._sites, self._closed = list(self._sites.values()), {}, True
        for site in sites:
            try:
                if site.lease is not None:
                    site.lease.release()
            except StoreUnavailable:
                # Nobody can read the lease either; it runs out.
                pass
            finally:
                self._closer(site.store)
