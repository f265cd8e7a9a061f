"""A real Ray for tests, on free ports, in a directory and a home of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from omruntime_ray import OmegaRuntimeRay
from omruntime_ray.servers import RayServer

from omruntime import Auth, Omega, virtualobj

AUTH = Auth("tests", "a key of these tests, which nobody else has")
LIMIT = 90.0


@virtualobj
def echo(data: object = None, gate: str = "", begun: str = "") -> object:
    """Say that it has begun, wait at the gate, where there is one, and return the first argument."""
    import os
    import time
    from pathlib import Path

    if begun:
        Path(begun).touch()
    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    return data


@virtualobj
def size(data: bytes = b"", gate: str = "") -> int:
    """Wait at the gate, and return how much was given."""
    import os
    import time

    while not os.path.exists(gate):
        time.sleep(0.01)
    return len(data)


@contextmanager
def client(store_url: str, url: str | None, workers: Mapping[str, int] | None = None) -> Iterator[Omega]:
    """Have a client with our scripts in its store."""
    with Omega(store_url, OmegaRuntimeRay(url, workers=workers, auth=AUTH), auth=AUTH) as om:
        om.scripts.put(echo, "echo")
        om.scripts.put(size, "size")
        yield om


@contextmanager
def running(env: Mapping[str, str]) -> Iterator[RayServer]:
    """Have a Ray with these variables in its environment."""
    made = RayServer(env)
    try:
        made.start()
        yield made
    finally:
        made.close()


def eventually(condition: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"never seen: {what}"
        threading.Event().wait(0.05)


def program(text: str, *args: object, place: Path) -> subprocess.CompletedProcess[str]:
    """Run a program, and return what it has said."""
    return subprocess.run(
        [sys.executable, "-c", text, *map(str, args)],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
