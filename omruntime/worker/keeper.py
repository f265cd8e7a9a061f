"""The keeper of a host: one thread for all that happens by time: leases, deadlines, retries, grace."""

from __future__ import annotations

import functools
import heapq
import itertools
import threading
import time
from collections.abc import Callable

__all__ = ["Keeper"]


class Keeper:
    """Calls ``tick`` every ``interval`` seconds, and scheduled functions when they are due.

    Args:
        name: name of the thread.
        interval: seconds between ticks.
        tick: called with the present monotonic time; must not raise.
    """

    def __init__(self, name: str, interval: float, tick: Callable[[float], None]) -> None:
        self._interval = interval
        self._tick = tick
        self._condition = threading.Condition()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def at(self, when: float, function: Callable[[], None]) -> None:
        """Call ``function`` in the keeper's thread at monotonic time ``when``, or as soon after as possible."""
        with self._condition:
            heapq.heappush(self._timers, (when, next(self._numbers), function))
            if self._timers[0][2] is function:
                self._condition.notify()

    def _run(self) -> None:
        next_tick = time.monotonic() + self._interval
        while True:
            due: list[Callable[[], None]] = []
            with self._condition:
                now = time.monotonic()
                wake = min([next_tick, *(self._timers[0][:1] if self._timers else ())])
                if not self._stopped and wake > now:
                    self._condition.wait(wake - now)
                if self._stopped:
                    return
                now = time.monotonic()
                while self._timers and self._timers[0][0] <= now:
                    due.append(heapq.heappop(self._timers)[2])
            for function in due:
                self._do(function)
            if now >= next_tick:
                self._do(functools.partial(self._tick, now))
                next_tick = time.monotonic() + self._interval

    @staticmethod
    def _do(act: Callable[[], None]) -> None:
        """Do what is due; a mistake in it is reported as any thread's, and ends nothing else."""
        try:
            act()
        except Exception as exc:  # noqa: BLE001
            args = (type(exc), exc, exc.__traceback__, threading.current_thread())
            threading.excepthook(threading.ExceptHookArgs(args))

    def stop(self) -> None:
        """End the thread; what is scheduled and not due is dropped."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
        self._thread.join()
