"""A real Ray for tests, on free ports, in a directory and a home of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from omruntime import Auth, virtualobj

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


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + LIMIT
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
