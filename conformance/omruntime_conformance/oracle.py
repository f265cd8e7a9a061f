"""The suite's own record of what ran where and in which order; rules judge by it, never by what an engine says.

Tasks append lines to one file, in a directory outside of store and engine that is passed to them as an argument.
A line is one ``write`` to a file that is open for appending, so the order of lines is the order of events.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from omruntime_conformance.tasks import LOG_FILE

__all__ = ["Entry", "Gate", "Log", "Waiter"]

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

    def __str__(self) -> str:
        extra = " ".join(f"{key}={value!r}" for key, value in self.data.items())
        where = f"{self.pid}@{self.host}" + (f" [{self.label}]" if self.label else "")
        return f"{self.order:>4}  {self.at:10.3f}  {where:<24}  {self.name} {self.what} {extra}".rstrip()


class Log:
    """Reads what tasks have noted; ``str(log)`` is the directory to pass to them."""

    def __init__(self, directory: Path, wait: Waiter) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._wait = wait

    def __str__(self) -> str:
        return str(self._directory)

    def entries(self, what: str | None = None, name: str | None = None) -> list[Entry]:
        """Return the lines in order, those of one event or one task where asked for."""
        try:
            lines = (self._directory / LOG_FILE).read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        whole = [json.loads(line) for line in lines if line.endswith("\n")]
        found = [Entry(order, **fields) for order, fields in enumerate(whole)]
        return [each for each in found if what in (None, each.what) and name in (None, each.name)]

    def starts(self, name: str | None = None) -> list[Entry]:
        """Return one entry for each execution that has begun."""
        return self.entries("start", name)

    def wait(self, what: str, name: str | None = None, count: int = 1) -> list[Entry]:
        """Wait until there are ``count`` such lines, and return them."""

        def enough() -> list[Entry]:
            found = self.entries(what, name)
            return found if len(found) >= count else []

        return self._wait(enough, f"{count} x {what!r} of {name or 'any task'} in the log")

    def timeline(self) -> str:
        """Return the log as text, with times counted from its first line."""
        entries = self.entries()
        if not entries:
            return "  (no task has noted anything)"
        first = entries[0].at
        return "\n".join(
            str(Entry(e.order, e.what, e.name, e.pid, e.host, e.label, e.at - first, e.data)) for e in entries
        )


class Gate:
    """A file that tasks wait for; ``str(gate)`` is its path, to be passed to them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def open(self) -> None:
        """Let the tasks pass that wait at the gate, and all that come later."""
        self._path.touch()
