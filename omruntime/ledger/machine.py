"""Who this process is, so that another process of the same machine can tell whether it still lives."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

__all__ = ["born", "is_gone", "is_there", "machine_id", "process_state"]


@lru_cache(maxsize=1)
def machine_id() -> str:
    """Return an identity of this boot and process namespace; empty where the kernel does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    """Return the fields of proc(5)'s stat behind the command name, state first."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def born(pid: int) -> str:
    """Return when a process began, in clock ticks since boot; empty where the kernel does not tell."""
    try:
        return _stat(pid)[19]
    except (OSError, IndexError):
        return ""


def process_state(pid: int) -> str:
    """Return the state letter of a process (``T``: stopped, ``Z``: dead, not yet waited for); empty if unknown."""
    try:
        return _stat(pid)[0]
    except (OSError, IndexError):
        return ""


def is_gone(machine: str, pid: int, birth: str) -> bool:
    """Tell for certain that a process has ended; False also where that cannot be known from here."""
    return _can_tell(machine, birth) and _seen(pid, birth) in ("", "Z")


def is_there(machine: str, pid: int, birth: str) -> bool:
    """Tell for certain that a process runs, and was not stopped; False also where that cannot be known from here."""
    return _can_tell(machine, birth) and _seen(pid, birth) not in ("Z", "T", "t", "")


def _seen(pid: int, birth: str) -> str:
    """Return the state letter of the process that began then, empty where it is no more.

    In one look: who is waited for between two of them would be neither dead nor gone.
    """
    try:
        fields = _stat(pid)
        return fields[0] if fields[19] == birth else ""
    except (OSError, IndexError):
        return ""


def _can_tell(machine: str, birth: str) -> bool:
    return bool(machine and birth) and machine == machine_id()
