"""The host's scratch directory: working directories of runners, unpacked packages; gone with the host."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from omruntime.ledger.machine import born, is_gone, machine_id

__all__ = ["make_scratch", "remove_scratch"]

_PREFIX = "omruntime-host-"


def make_scratch() -> Path:
    """Return a fresh directory of this process, and remove those of processes that died without doing so."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{_PREFIX}*"):
        pid, _, birth = left.name.removeprefix(_PREFIX).rpartition("-")[0].partition("-")
        if pid.isdigit() and _is_ours(left) and is_gone(machine_id(), int(pid), birth):
            remove_scratch(left)
    pid_now = os.getpid()
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{pid_now}-{born(pid_now)}-", dir=root))


def _is_ours(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.getuid()
    except OSError:
        return False


def remove_scratch(path: Path) -> None:
    """Remove a scratch directory with all that tasks left in it."""
    shutil.rmtree(path, ignore_errors=True)
