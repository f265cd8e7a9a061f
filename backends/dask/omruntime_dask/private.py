"""A private scheduler: a process of our own, which ends with this process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omruntime.errors import BackendUnavailable

__all__ = ["private_scheduler"]

_START_LIMIT = 60.0
_LOOK = 0.01
# Standard input ends with the process that has the other end, however that ends; `read` returns then.
_TIED = """
place=$1; shift
"$@" >"$place/log" 2>&1 &
scheduler=$!
read -r _ || true
kill -9 "$scheduler" 2>/dev/null
wait "$scheduler" 2>/dev/null
rm -rf "$place"
"""


@contextmanager
def private_scheduler() -> Iterator[str]:
    """Start a scheduler on a free port of 127.0.0.1, and give its address."""
    place = Path(tempfile.mkdtemp(prefix="omruntime-dask-"))
    told = place / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    # Its HTTP server, which listens without a dashboard too, would otherwise be open to other machines.
    command += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(told)]
    process = subprocess.Popen(
        ["/bin/sh", "-c", _TIED, "omruntime-dask", str(place), *command],
        env={**os.environ, "DASK_TEMPORARY_DIRECTORY": str(place)},
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield f"dask://{_address(told, place / 'log', process)}?{PRIVATE}=1"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        shutil.rmtree(place, ignore_errors=True)


PRIVATE = "omruntime_private"


def _address(told: Path, log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _START_LIMIT
    while True:
        try:
            address: str = json.loads(told.read_text())["address"]
        except (OSError, ValueError):
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
                raise BackendUnavailable(f"a private Dask scheduler could not be started: {said.strip()}") from None
            time.sleep(_LOOK)
        else:
            return address.partition("://")[2]
