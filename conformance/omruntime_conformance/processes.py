"""The processes of a run: each runs one rule at a time, and is replaced when it dies or hangs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from omruntime_conformance.report import Outcome, Status
from omruntime_conformance.target import TARGET

__all__ = ["Answer", "JobProcess"]

GRACE = 45.0
"""Seconds beyond a rule's limit after which its process is ended, having failed to end the rule itself."""
_LOOK = 0.2
_TAIL = 4_000
_STACKS_SECONDS = 2.0
_START_LIMIT = 120.0
"""Seconds until a process, which has to import the suite and the harness, can run rules."""


class _Late(Exception):
    """A process has not answered in time."""


@dataclass(slots=True)
class Answer:
    """What came of one rule."""

    outcome: Outcome
    declared: list[list[str]] = field(default_factory=list)
    """Names of the capabilities of each engine that it ran on."""
    broken: dict[str, str] = field(default_factory=dict)
    """Sets of workers that cannot be had, with the reason."""


class JobProcess:
    """A process that runs rules of one target.

    Args:
        target: what to run.
        place: a directory for its files.
        env: environment variables beside those of this process.
    """

    def __init__(self, target: str, place: Path, env: Mapping[str, str]) -> None:
        self._target, self._place, self._env = target, place, dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._opening = ""

    def run(self, rule: str, limit: float, failed: set[str], broken: Mapping[str, str]) -> Answer:
        """Run a rule, in a new process where the one before has died."""
        begun = time.monotonic()
        try:
            connection = self._connection or self._started()
            begun = time.monotonic()
            request = {"rule": rule, "failed": sorted(failed), "broken": dict(broken)}
            connection.send_bytes(json.dumps(request).encode())
            answer = self._wait_for("outcome", connection, limit + GRACE)
        except _Late:
            return self._hung(rule, time.monotonic() - begun)
        except (EOFError, OSError):
            return self._died(rule, time.monotonic() - begun)
        outcome = msgspec.convert(answer["outcome"], Outcome)
        return Answer(outcome, answer["declared"], answer["broken"])

    def _started(self) -> Connection:
        """Start the process, and wait until it can run rules; raises what `_wait_for` does."""
        connection = self._start()
        self._wait_for("ready", connection, _START_LIMIT)
        return connection

    def _start(self) -> Connection:
        self._place.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        with theirs, (self._place / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "omruntime_conformance.job",
                    str(theirs.fileno()),
                    str(self._place),
                ],
                env={**os.environ, **self._env, TARGET: self._target},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())
        self._opening = ""
        return self._connection

    def _wait_for(self, word: str, connection: Connection, seconds: float) -> dict[str, Any]:
        """Return the next message with this word in it.

        Raises:
            EOFError: the process has died.
            _Late: there is none in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if connection.poll(_LOOK):
                message: dict[str, Any] = json.loads(connection.recv_bytes())
                if word in message:
                    return message
                self._opening = message["opening"]
            elif self._process is not None and self._process.poll() is not None:
                raise EOFError
        raise _Late

    def _died(self, rule: str, seconds: float) -> Answer:
        code = self._end()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return self._lost(rule, seconds, f"the process that ran it died with {how}", self._output())

    def _hung(self, rule: str, seconds: float) -> Answer:
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)
        stacks = self._stacks()
        self._end()
        return self._lost(rule, seconds, f"it hung, and was ended after {seconds:.0f} s", stacks)

    def _lost(self, rule: str, seconds: float, reason: str, detail: str) -> Answer:
        broken = {}
        if self._opening:
            reason = f"{reason}, while a cluster with {self._opening} was started"
            broken = {self._opening: f"no cluster with {self._opening}: {reason}; see {rule}"}
        return Answer(
            Outcome(rule, Status.FAILED, reason, seconds=round(seconds, 3), failures=1, detail=f"{reason}\n{detail}"),
            broken=broken,
        )

    def _stacks(self) -> str:
        """Return what the process has written of its threads' stacks."""
        path = self._place / "stacks.txt"
        deadline = time.monotonic() + _STACKS_SECONDS
        while time.monotonic() < deadline:
            if path.exists() and (text := path.read_text(errors="replace")).rstrip():
                return f"stacks   of every thread\n{text}"
            time.sleep(_LOOK)
        return self._output()

    def _output(self) -> str:
        try:
            return (self._place / "output.txt").read_text(errors="replace")[-_TAIL:]
        except OSError:
            return ""

    def _end(self) -> int:
        """End the process and those of its session, and return its exit code."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is None:
            return 0
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return process.wait()

    def close(self, seconds: float = 60.0) -> None:
        """Have the process stop its clusters and end; a second call does nothing."""
        if self._process is not None and self._connection is not None:
            try:
                self._connection.send_bytes(b"{}")
                self._process.wait(seconds)
            except (OSError, subprocess.TimeoutExpired):
                pass
        self._end()
