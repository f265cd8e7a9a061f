"""How many calls a worker is brought: as long as tasks are short, the next ones before their slots are free.

The way of an answer to Dask's worker and of the next call to the runner takes as long as a short task does. With the
next call at hand the host claims it in the transaction that ends the one before. Behind a long task it would wait
while other workers are free, so it is given back then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from distributed.worker_state_machine import WorkerState

__all__ = ["Foresight"]

_SHORT = 0.02
"""Seconds within which a short task is over, the wait for its slot included."""
_ENOUGH = 8
"""How many of them, one after the other, each slot must have had."""
_LONG = 0.05
"""Seconds after which what waits behind a task is given back."""


class Foresight:
    """Has a worker of Dask hold two calls for each slot, as long as tasks are short.

    Args:
        state: of the worker, which has as many threads as slots.
        loop: of the worker, in which all of this happens.
        oldest: returns since when, in monotonic seconds, the oldest call is here; None where there is none.
        give_back: gives back the calls that wait for a slot.
    """

    def __init__(
        self,
        state: WorkerState,
        loop: asyncio.AbstractEventLoop,
        oldest: Callable[[], float | None],
        give_back: Callable[[], None],
    ) -> None:
        self._state, self._loop, self._oldest, self._give_back = state, loop, oldest, give_back
        self._slots = state.nthreads
        self._short = 0
        self._look: asyncio.TimerHandle | None = None

    def note(self, seconds: float) -> None:
        """Learn from a task that is over how long it was here."""
        self._short = self._short + 1 if seconds < _SHORT else 0
        if self._look is None and self._short >= _ENOUGH * self._slots:
            self._state.nthreads = 2 * self._slots
            self._look = self._loop.call_later(_LONG, self._look_after)

    def _look_after(self) -> None:
        oldest = self._oldest()
        waited = time.monotonic() - oldest if oldest is not None else 0.0
        if waited < _LONG:
            self._look = self._loop.call_later(_LONG - waited, self._look_after)
            return
        self.close()
        self._give_back()

    def close(self) -> None:
        """Have the worker hold one call for each slot again."""
        self._short, self._state.nthreads = 0, self._slots
        if self._look is not None:
            self._look.cancel()
            self._look = None
