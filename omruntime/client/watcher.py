"""Looks into the ledger for those who wait: the safety net of live handles, the only way of those found by id."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass

from omruntime.auth import Auth
from omruntime.errors import OmegaRuntimeError, ResultExpired, RuntimeClosed, StoreUnavailable, UnknownTask
from omruntime.ledger import LeaseWatch, Ledger, Report, Steward, TaskState
from omruntime.worker.endings import VerdictMaker

__all__ = ["LIVE_INTERVAL", "Watcher"]

LIVE_INTERVAL = 1.0
"""Seconds between looks for a handle that is waiting on push."""
_FIRST_INTERVAL = 0.01
_GROWTH = 1.4


@dataclass(slots=True)
class _Watched:
    future: Future[bytes]
    interval: float
    due: float


class Watcher:
    """One thread for all waiting handles of one Omega; it runs only while somebody waits."""

    def __init__(self, ledger: Ledger, auth: Auth) -> None:
        self._ledger = ledger
        self._steward = Steward(ledger, VerdictMaker(ledger, auth), watch=LeaseWatch(ledger.store))
        self._condition = threading.Condition()
        self._watched: dict[str, list[_Watched]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, task: str, future: Future[bytes], *, live: bool) -> None:
        """Resolve ``future`` with the task's packed outcome once the ledger has it."""
        interval = LIVE_INTERVAL if live else _FIRST_INTERVAL
        entry = _Watched(future, interval, time.monotonic() + interval)
        with self._condition:
            self._watched.setdefault(task, []).append(entry)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="omruntime-watcher", daemon=True)
                self._thread.start()
            self._condition.notify()

    def attend(self, task: str, state: TaskState) -> None:
        """End a task whose runtime is gone, as any reader may."""
        if state.end is None and state.request is not None and state.request.runtime:
            self._steward.attend(task, state.request, state, {}, Report())

    def _run(self) -> None:
        while True:
            with self._condition:
                self._forget_done()
                if self._closed or not self._watched:
                    self._thread = None
                    return
                now = time.monotonic()
                due = [task for task, entries in self._watched.items() if any(each.due <= now for each in entries)]
                if not due:
                    soonest = min(each.due for entries in self._watched.values() for each in entries)
                    self._condition.wait(max(0.001, min(soonest - now, LIVE_INTERVAL)))
                    continue
            self._look(due)

    def _forget_done(self) -> None:
        for task in list(self._watched):
            self._watched[task] = [each for each in self._watched[task] if not each.future.done()]
            if not self._watched[task]:
                del self._watched[task]

    def _look(self, tasks: list[str]) -> None:
        try:
            states = self._ledger.states(tasks)
            for task in tasks:
                self._tell(task, states[task])
        except StoreUnavailable:
            # Whoever waits goes on waiting: the store may come back.
            pass
        except OmegaRuntimeError as exc:
            for task in tasks:
                self._resolve(task, exc)
        with self._condition:
            for task in tasks:
                for entry in self._watched.get(task, []):
                    if entry.interval < LIVE_INTERVAL:
                        entry.interval = min(entry.interval * _GROWTH, LIVE_INTERVAL)
                    entry.due = time.monotonic() + entry.interval

    def _tell(self, task: str, state: TaskState | UnknownTask | ResultExpired) -> None:
        if isinstance(state, Exception):
            self._resolve(task, state)
        elif state.end is not None:
            self._resolve(task, state.end.outcome)
        else:
            self.attend(task, state)

    def _resolve(self, task: str, answer: bytes | Exception) -> None:
        with self._condition:
            entries = list(self._watched.get(task, []))
        for entry in entries:
            try:
                if isinstance(answer, Exception):
                    entry.future.set_exception(answer)
                else:
                    entry.future.set_result(answer)
            except InvalidStateError:
                # The push was faster.
                continue

    def close(self) -> None:
        """End the thread; whoever still waits gets an error."""
        with self._condition:
            self._closed = True
            thread = self._thread
            self._condition.notify()
        if thread is not None:
            thread.join()
        for task in list(self._watched):
            self._resolve(
                task,
                RuntimeClosed(
                    f"the Omega was closed while task {task} was waited for; find it again with "
                    f"om.runtime.result({task!r}) of another one"
                ),
            )
