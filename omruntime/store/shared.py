"""One open store for all of a process that use it: Omegas, the host of the local engine, handles from elsewhere."""

from __future__ import annotations

import os
import threading

from omruntime.abc.store import Store
from omruntime.errors import StoreUnavailable
from omruntime.logins import login_for, same_login, without_login
from omruntime.store.urls import open_store

__all__ = ["open_shared", "release_shared"]

_lock = threading.RLock()
_users: dict[tuple[int, str], tuple[Store, int]] = {}


def open_shared(url: str, *, create: bool = False) -> Store:
    """Open a store, or take part in the one that this process has open at the same URL; raises as `open_store` does.

    Whoever opens it gives it back by `release_shared`. A store is open with one login at a time; what it was opened
    with is found again by the URL without it.

    Raises:
        StoreUnavailable: this process has it open with another login.
    """
    with _lock:
        plain = without_login(url)
        held = _users.get((os.getpid(), plain))
        if held is not None and not same_login(login_for(url), login_for(plain)):
            raise StoreUnavailable(
                f"{plain} is open in this process with another login, and what one user may do is not what another "
                "may; close whatever has it open (an Omega, a runtime) first, or use a process of its own"
            )
        if held is None:
            store = open_store(url, create=create)
            key = (os.getpid(), store.url)
            if key in _users:
                # The URL that was asked for is another spelling of one that is open.
                store.close()
            held = _users.get(key, (store, 0))
        _users[os.getpid(), held[0].url] = (held[0], held[1] + 1)
        return held[0]


def release_shared(store: Store) -> None:
    """Give a store back; the last one to do so closes it."""
    with _lock:
        key = (os.getpid(), store.url)
        held = _users.get(key)
        if held is None or held[0] is not store:
            store.close()
        elif held[1] > 1:
            _users[key] = (store, held[1] - 1)
        else:
            del _users[key]
            store.close()
