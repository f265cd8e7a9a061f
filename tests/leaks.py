"""What a test leaves running in its process: threads and child processes."""

from __future__ import annotations

import os
import select
import threading
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 5.0
"""Seconds that what is already on its way out gets to be gone."""

# The standard library starts it once in a process and keeps it to the end.
_KEPT_BY_PYTHON = ("multiprocessing.resource_tracker",)


@dataclass(frozen=True)
class Running:
    """Threads and child processes of this process at one moment."""

    threads: frozenset[threading.Thread]
    children: frozenset[int]


def running() -> Running:
    """Return the threads and children that this process has now."""
    return Running(frozenset(threading.enumerate()), frozenset(_children()))


def leaked(before: Running, patience: float = PATIENCE) -> list[str]:
    """Describe what runs now, did not run ``before``, and does not end by itself within ``patience`` seconds."""
    deadline = time.monotonic() + patience
    found = []
    for thread in frozenset(threading.enumerate()) - before.threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            found.append(f"thread {thread.name!r}")
    for pid in _children() - before.children:
        _wait_for_end(pid, max(0.0, deadline - time.monotonic()))
    found += [f"process {pid}: {_command(pid)}" for pid in sorted(_children() - before.children)]
    return found


def _children() -> set[int]:
    # Only Linux lists children without a helper program; elsewhere threads alone are looked at.
    lists = Path("/proc/self/task").glob("*/children")
    pids = {int(pid) for each in lists for pid in _text(each).split()}
    return {pid for pid in pids if not any(kept in _command(pid) for kept in _KEPT_BY_PYTHON)}


def _wait_for_end(pid: int, seconds: float) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)


def _command(pid: int) -> str:
    return _text(Path(f"/proc/{pid}/cmdline")).replace("\0", " ").strip() or "ended, but nobody waited for it"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
