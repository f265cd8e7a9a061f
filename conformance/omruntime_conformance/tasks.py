"""Tasks that many rules use, and what a task needs to report to the suite's log and to wait at its gates."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from typing import Any

from omruntime import virtualobj
from omruntime_conformance.running import running_task

__all__ = ["LOG_FILE", "Trouble", "echo", "held", "note", "note_death", "pass_gate", "snapshot", "suicidal", "write"]

LOG_FILE = "log.jsonl"
GATE_SECONDS = 60.0
"""After this a task gives up waiting, so that a failed rule leaves no task behind for ever."""
LABEL_VARIABLE = "OMRUNTIME_CONFORMANCE_LABEL"


def note(log: str, what: str, name: str = "", *, pid: int = 0, **data: Any) -> None:
    """Append a line to the log, about this process or the one of ``pid``; ``data`` is plain values."""
    write(log, what, name, pid or os.getpid(), data, **running_task())


def note_death(log: str, name: str) -> None:
    """Append to the log that this task is about to end its own process: a fault that the suite injects here."""
    write(log, "ends its process", name, os.getpid(), {}, by="suite", fault="process", **running_task())


def write(log: str, what: str, name: str, pid: int, data: dict[str, Any], **more: Any) -> None:
    """Append a line to the log in one piece."""
    line = more | {
        "what": what,
        "name": name,
        "pid": pid,
        "host": socket.gethostname(),
        "label": os.environ.get(LABEL_VARIABLE, ""),
        "at": time.monotonic(),
        "data": data,
    }
    descriptor = os.open(os.path.join(log, LOG_FILE), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


def pass_gate(path: str, seconds: float = GATE_SECONDS) -> None:
    """Wait until somebody has opened the gate."""
    deadline = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody opened the gate {path} within {seconds:g} s")
        time.sleep(0.005)


class Trouble(Exception):
    """An exception of an installed package, with arguments and an attribute."""

    hint: str = ""


@virtualobj
def echo(data: Any = None, **kwargs: Any) -> Any:
    """Return what came in: the first argument, or all keyword arguments where there are any."""
    named = {key: value for key, value in kwargs.items() if key.startswith("value")}
    return named or data


@virtualobj
def held(data: Any = None, log: str = "", gate: str = "", name: str = "task") -> Any:
    """Note the start, wait at the gate where there is one, note the end, and return the first argument."""
    note(log, "start", name)
    if gate:
        pass_gate(gate)
    note(log, "end", name)
    return data


@virtualobj
def suicidal(data: Any = None, log: str = "", name: str = "task") -> None:
    """Kill the process it runs in."""
    note(log, "start", name)
    note_death(log, name)
    os.kill(os.getpid(), 9)


@virtualobj
def snapshot(data: Any = None, log: str = "", gate: str = "", name: str = "snapshot") -> dict[str, Any]:
    """Return what a task finds of its process: pid, path, working directory, modules, environment."""
    note(log, "start", name)
    if gate:
        pass_gate(gate)
    initial = ""
    with contextlib.suppress(OSError), open("/proc/self/environ", "rb") as stream:
        initial = stream.read().decode(errors="replace")
    return {
        "pid": os.getpid(),
        "path": list(sys.path),
        "cwd": os.getcwd(),
        "modules": sorted(sys.modules),
        "environ": dict(os.environ),
        "initial_environ": initial,
        "argv": [*sys.orig_argv, *sys.argv],
    }
