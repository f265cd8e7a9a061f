"""One slot of a host: a place for one task at a time, and the runner that fills it, replaced whenever it dies."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable

from omruntime.worker.channel import Message
from omruntime.worker.delivery import Delivery
from omruntime.worker.process import Exit, RunnerProcess

__all__ = ["GRACE", "Slot"]

_log = logging.getLogger("omruntime.worker")
GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL for a runner whose task has to stop."""


class Slot:
    """A slot; whoever starts, ends or takes away its task holds `lock`.

    Args:
        name: name of the slot's worker.
        labels: labels of the tasks that it takes.
        spawn: starts a runner for it.
        on_message: called in the slot's thread with each message of the runner.
        on_death: called in the slot's thread when the runner has died, before the next one is started.
        spare: it stands in for others.
    """

    def __init__(
        self,
        name: str,
        labels: frozenset[str],
        spawn: Callable[[Slot], RunnerProcess],
        on_message: Callable[[Slot, Message, list[memoryview]], None],
        on_death: Callable[[Slot, Exit, str], None],
        *,
        spare: bool = False,
    ) -> None:
        self.name = name
        self.labels = labels
        self.lock = threading.Lock()
        self.delivery: Delivery | None = None
        self.accepting = False
        """The runner is ready and has not been told to end; tasks begin in no other."""
        self.closing = False
        self.spare = spare
        """It stands in for slots whose tasks wait for other tasks, and is not one of the host's workers."""
        self.waits: set[str] = set()
        """Tasks that its task waits for, and that have not ended."""
        self.rests_since: float | None = None
        """Monotonic time since when it is not needed, and takes no tasks."""
        self.leaving = False
        """It ends as soon as it has nothing to do."""
        self.kill_at: float | None = None
        self.stopped_since: float | None = None
        self.began = threading.Event()
        """Set when the first runner is ready, or could not be started."""
        self.failure: BaseException | None = None
        self._spawn, self._on_message, self._on_death = spawn, on_message, on_death
        self.process: RunnerProcess | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the slot's thread and its first runner."""
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self.closing:
                with self.lock:
                    if self.closing:
                        return
                    process = self.process = self._spawn(self)
                    self.kill_at = self.stopped_since = None
                while (received := process.receive()) is not None:
                    self._on_message(self, *received)
                with self.lock:
                    self.accepting = False
                exit = process.reap()
                try:
                    self._on_death(self, exit, process.output.take())
                finally:
                    process.output.close()
        except BaseException as exc:  # noqa: BLE001
            # The slot is out of order for good; whoever waits for it must learn that.
            self.failure = exc
            if self.began.is_set():
                _log.exception("the worker %s is out of order", self.name)
        finally:
            self.began.set()

    @property
    def at_work(self) -> bool:
        """Whether it takes tasks, or is busy with one that does not wait."""
        return self.rests_since is None and not self.waits

    @property
    def is_over(self) -> bool:
        """Whether its thread has ended."""
        return not self._thread.is_alive()

    @property
    def pid(self) -> int:
        """Process id of the present runner, 0 before there is one."""
        return self.process.pid if self.process is not None else 0

    def condemn(self, grace: float = GRACE) -> None:
        """End the runner: politely, then, after ``grace`` seconds, for certain."""
        process = self.process
        if process is None:
            return
        process.signal(signal.SIGTERM)
        self.kill_at = time.monotonic() + grace
        if grace <= 0:
            process.signal(signal.SIGKILL)

    def check(self, now: float) -> None:
        """Kill a condemned runner whose grace is over, and notice one that died while others hold its socket."""
        process = self.process
        if process is None:
            return
        if self.kill_at is not None and now >= self.kill_at:
            process.signal(signal.SIGKILL)
        if process.has_died():
            process.hang_up()

    def stop(self) -> None:
        """Ask an idle runner to end, and start no other."""
        with self.lock:
            self.closing = True
        if self.process is not None:
            self.process.send("stop", {})

    def dismiss(self, patience: float) -> None:
        """As `stop`, and `check` kills the runner when it has not ended within ``patience`` seconds."""
        self.stop()
        self.kill_at = time.monotonic() + patience

    def join(self, timeout: float) -> None:
        """Wait for the runner to end, kill it when it does not, and end the thread."""
        self._thread.join(timeout)
        if self._thread.is_alive() and self.process is not None:
            self.process.signal(signal.SIGKILL)
            self._thread.join()
