"""Other client processes: plain Python scripts with the store, the key and the runtime of the rule."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omruntime_conformance.oracle import CLUSTER, Log, Waiter

__all__ = ["Client", "start_client"]

ANSWER = "conformance answer: "
_PRELUDE = """\
import json, sys
from omruntime import *

def answer(value):
    print({answer!r} + json.dumps(value), flush=True)

argv = sys.argv[1:]
# ---- the rule's own code
"""


class Client:
    """A client process; it is killed at the end of its rule if it has not ended by itself."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, wait: Waiter, log: Log) -> None:
        self.pid = process.pid
        self._process = process
        self._output = output
        self._wait = wait
        self._log = log
        log.record(f"starts the client {self.pid}", pid=self.pid)

    @property
    def output(self) -> str:
        """What it has printed so far, errors included."""
        return self._output.read_text(errors="replace")

    def exit(self) -> str:
        """Wait until it has exited without an error, and return what it printed."""
        self._wait(
            lambda: self._process.poll() is not None, f"the exit of the client process; it printed: {self.output}"
        )
        assert self._process.returncode == 0, f"the client exited with {self._process.returncode}:\n{self.output}"
        return self.output

    def answers(self) -> list[Any]:
        """Return the values it has passed to ``answer`` so far."""
        lines = self.output.splitlines(keepends=True)
        return [json.loads(line[len(ANSWER) :]) for line in lines if line.startswith(ANSWER) and line.endswith("\n")]

    def answer(self, number: int = 1) -> Any:
        """Wait for its ``number``-th answer and return it."""

        def there() -> bool:
            return len(self.answers()) >= number or self._process.poll() is not None

        self._wait(there, f"answer {number} of the client process")
        found = self.answers()
        assert len(found) >= number, f"the client exited with {self._process.returncode}:\n{self.output}"
        return found[number - 1]

    def kill(self) -> None:
        """End it with SIGKILL, if it has not ended, and wait until it is gone."""
        if self._process.poll() is None:
            self._log.record(f"kills the client {self.pid}", pid=self.pid, fault=CLUSTER)
            self._process.kill()
        self._process.wait()


def start_client(
    code: str, argv: tuple[str, ...], *, place: Path, env: Mapping[str, str], wait: Waiter, log: Log
) -> Client:
    """Run ``code`` as a script of its own, with a home of its own and what ``env`` adds.

    The script has the public names of omruntime, ``argv``, and ``answer(value)``, which sends a plain value back. A
    ``PYTHONPATH`` in ``env`` goes before the one that there is.
    """
    place.mkdir(parents=True)
    script, output, temporary = place / "client.py", place / "output.txt", place / "tmp"
    temporary.mkdir()
    script.write_text(_PRELUDE.format(answer=ANSWER) + code)
    own = {"HOME": str(place), "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    paths = [each["PYTHONPATH"] for each in (env, inherited) if each.get("PYTHONPATH")]
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, str(script), *argv],
            env=inherited | own | dict(env) | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {}),
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    return Client(process, output, wait, log)
