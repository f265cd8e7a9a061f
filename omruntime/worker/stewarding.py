"""The steward in a process of its own or of a host: passes over the open tasks, and now and then a clearing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from omruntime.abc import Backend, Call
from omruntime.auth import Auth
from omruntime.errors import ResultExpired, UnknownTask
from omruntime.ledger import End, Ledger, Report, Request, Steward, default_expiry
from omruntime.store import Swept, sweep
from omruntime.worker.canvases import Canvases
from omruntime.worker.endings import VerdictMaker
from omruntime.worker.sites import Site

__all__ = ["Caretaker", "Tidied"]

TIDY_INTERVAL = 3600.0
"""Seconds between two clearings of one caretaker."""
GRACE = 3600.0
"""Seconds after which what a writer has left half-written counts as litter."""


@dataclass(slots=True)
class Tidied:
    """What a clearing has removed."""

    expired: int
    """Records of tasks."""
    blobs: int
    """Blobs of tasks that have no record any more."""
    swept: Swept
    """What was left of objects."""


class Caretaker:
    """Looks after one store.

    Args:
        ledger: its ledger.
        auth: keys that sign the outcomes of lost tasks.
        own: id of the host in this process, whose tasks it looks after itself.
        engine: address of the engine that ``resend`` sends to.
        resend: sends a call again.
        incarnation: names the engine's present life.
        queued: tells how many calls wait in the engine for a set of labels.
        follow: does what follows from the end of a step of a canvas.
        expiry: seconds that records are kept after their end; default ``OMRUNTIME_EXPIRE_DAYS``, or 7 days.
    """

    def __init__(
        self,
        ledger: Ledger,
        auth: Auth,
        *,
        own: str = "",
        engine: str = "",
        resend: Callable[[Call], object] | None = None,
        incarnation: Callable[[], str] | None = None,
        queued: Callable[[str], int | None] | None = None,
        follow: Callable[[str, Request, End], bool] | None = None,
        expiry: float | None = None,
    ) -> None:
        self._ledger = ledger
        self._expiry = default_expiry() if expiry is None else expiry
        self._steward = Steward(
            ledger,
            VerdictMaker(ledger, auth),
            own=own,
            engine=engine,
            resend=resend,
            incarnation=incarnation,
            queued=queued,
            follow=follow,
        )
        self._tidied: float | None = None

    @classmethod
    def for_engine(cls, ledger: Ledger, auth: Auth, backend: Backend, expiry: float | None = None) -> Self:
        """Return one that sends again to an engine, and brings canvases forward, without being a host of it.

        Args:
            ledger: the store's ledger.
            auth: keys that sign the outcomes of lost tasks and of canvases.
            backend: the engine.
            expiry: seconds that records are kept after their end.
        """
        canvases = Canvases(auth, backend.forward, tied=False, incarnation=backend.incarnation, tell=backend.tell)
        return cls(
            ledger,
            auth,
            engine=backend.address,
            resend=backend.forward,
            incarnation=backend.incarnation,
            queued=backend.queued,
            follow=canvases.follow_for_steward(Site(ledger.store, None)),
            expiry=expiry,
        )

    def step(self) -> Report:
        """Look at every open task once and do what is due; raises StoreUnavailable."""
        return self._steward.step()

    def tidy_when_due(self, interval: float = TIDY_INTERVAL) -> Tidied | None:
        """Clear the store if that was not done within the interval; None when it was."""
        if self._tidied is not None and time.monotonic() - self._tidied < interval:
            return None
        self._tidied = time.monotonic()
        return self.tidy()

    def tidy(self, grace: float = GRACE) -> Tidied:
        """Sweep litter and expire records; in this order, since the sweep asks the records what became of tasks."""
        swept = sweep(self._ledger.store, self._ledger.outcome, grace)
        return Tidied(self._steward.expire(self._expiry), self._sweep_task_blobs(grace), swept)

    def _sweep_task_blobs(self, grace: float) -> int:
        """Delete values of tasks that nobody can ask for any more."""
        store = self._ledger.store
        old = [info.name for info in store.blobs("t-") if info.age >= grace]
        states = self._ledger.states({_task_of(name) for name in old})
        gone = [name for name in old if isinstance(states[_task_of(name)], UnknownTask | ResultExpired)]
        store.delete_blobs(gone)
        return len(gone)


def _task_of(blob: str) -> str:
    """Return the id of the task that a blob belongs to."""
    return blob.removeprefix("t-").rsplit("-", 2)[0]
