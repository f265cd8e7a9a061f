"""The suite's own record of what ran where and in which order; rules judge by it, never by what an engine says.

Tasks append lines to one file, in a directory outside of store and engine that is passed to them as an argument.
A line is one ``write`` to a file that is open for appending, so the order of lines is the order of events. What the
suite does itself, faults above all, it writes down in the same file; rules that count lines never see those.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from omruntime_conformance.tasks import LOG_FILE, write

__all__ = ["CLUSTER", "PROCESS", "Entry", "Gate", "Log", "Waiter"]

PROCESS = "process"
"""A fault of one process: whatever runs in it may be run again."""
CLUSTER = "cluster"
"""A fault that any task may be run again for."""

T = TypeVar("T")


class Waiter:
    """Waits for conditions with a deadline that grows with the harness's patience."""

    def __init__(self, patience: float = 1.0, seconds: float = 30.0, interval: float = 0.01) -> None:
        self.seconds = seconds * patience
        self._interval = interval

    def __call__(self, condition: Callable[[], T], what: str, seconds: float | None = None) -> T:
        """Return the first true value of ``condition``; an AssertionError says what was waited for in vain."""
        deadline = time.monotonic() + (self.seconds if seconds is None else seconds)
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {self.seconds:g} s in vain for {what}")
            time.sleep(self._interval)

    def let_pass(self, seconds: float) -> None:
        """Let time pass that a fault is to last; never to wait for something."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log."""

    order: int
    what: str
    """The event: ``start``, ``end``, or whatever a task notes."""
    name: str
    """What the rule calls the task."""
    pid: int
    host: str
    label: str
    """Labels of the worker as its environment tells them, empty where it does not."""
    at: float
    """Seconds of the machine's monotonic clock; compared only between lines of one host."""
    data: dict[str, Any]
    by: str = ""
    """``suite`` for what the suite itself has done."""
    fault: str = ""
    """What the suite has broken by it: `PROCESS`, `CLUSTER`, or nothing."""
    task: str = ""
    """Id of the task that has noted it; empty outside of tasks."""
    execution: str = ""
    """Names one run of the task's code, so that a second one can be told from it."""
    retries: int | None = None
    """The budget that the task's call names; None where it names none."""


class Log:
    """Reads what tasks have noted; ``str(log)`` is the directory to pass to them."""

    def __init__(self, directory: Path, wait: Waiter) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._wait = wait

    def __str__(self) -> str:
        return str(self._directory)

    def record(self, what: str, *, pid: int = 0, fault: str = "") -> None:
        """Write down what the suite does, and to which process."""
        write(str(self), what, "", pid, {}, by="suite", fault=fault)

    def all(self) -> list[Entry]:
        """Return all lines in order, those of the suite too."""
        try:
            lines = (self._directory / LOG_FILE).read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        whole = [json.loads(line) for line in lines if line.endswith("\n")]
        return [Entry(order, **fields) for order, fields in enumerate(whole)]

    def entries(self, what: str | None = None, name: str | None = None) -> list[Entry]:
        """Return what was noted, in order: all of it, or that of one event or one task."""
        noted = [each for each in self.all() if not each.by]
        return [each for each in noted if what in (None, each.what) and name in (None, each.name)]

    def starts(self, name: str | None = None) -> list[Entry]:
        """Return one entry for each execution that has begun."""
        return self.entries("start", name)

    def wait(self, what: str, name: str | None = None, count: int = 1) -> list[Entry]:
        """Wait until there are ``count`` such lines, and return them."""

        def enough() -> list[Entry]:
            found = self.entries(what, name)
            return found if len(found) >= count else []

        return self._wait(enough, f"{count} x {what!r} of {name or 'any task'} in the log")


class Gate:
    """A file that tasks wait for; ``str(gate)`` is its path, to be passed to them.

    Args:
        path: where it is.
        log: where its opening is written down.
    """

    def __init__(self, path: Path, log: Log) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._log = log

    def __str__(self) -> str:
        return str(self._path)

    def open(self) -> None:
        """Let the tasks pass that wait at the gate, and all that come later."""
        if not self._path.exists():
            self._log.record(f"opens the gate {self._path.name!r}")
        self._path.touch()
