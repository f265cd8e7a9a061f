"""Sessions for handles that arrive from another process: one for each store, opened when the first one arrives."""

from __future__ import annotations

import threading
import weakref

from omruntime.client.session import Session

__all__ = ["attached_session"]

_lock = threading.Lock()
_sessions: weakref.WeakValueDictionary[str, Session] = weakref.WeakValueDictionary()


def attached_session(url: str) -> Session:
    """Return an open session of the store: an Omega's of this process, else one that lives as long as its handles."""
    ours = Session.open_at(url)
    if ours is not None:
        return ours
    with _lock:
        session = _sessions.get(url)
        if session is None or session.closed:
            session = Session(url, None, None, create=False)
            _sessions[url] = session
        return session
