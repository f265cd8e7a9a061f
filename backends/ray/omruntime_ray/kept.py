"""A Ray that another process of ours keeps, for as long as this one wants it and lives."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from omruntime.abc.carrying import refusal
from omruntime.auth import KEY_VARIABLE
from omruntime.errors import BackendUnavailable
from omruntime.logins import parted
from omruntime.worker.channel import Channel
from omruntime.worker.life import Lifeline
from omruntime_ray.secluded import secluded
from omruntime_ray.station import Wanted

__all__ = ["KeptRay"]

_MODULE = "omruntime_ray.keeper"
_LONGEST = 24
"""Characters; a socket's name has at most 107 of them, on macOS 103."""


_OURS = {
    # Ray's own way is to have actors give way to the programs beside them, and the client waits for this one.
    "RAY_worker_niceness": "0",
    # Seconds; on a busy machine its own 30 are too few.
    "RAY_raylet_start_wait_time_s": "120",
}
_NOT_FOR_IT = (KEY_VARIABLE, "RAY_ADDRESS")


def _settings(directory: Path) -> dict[str, str]:
    """Return the environment of a Ray that nobody else gets into."""
    return {**secluded(directory), **{name: os.environ.get(name, ours) for name, ours in _OURS.items()}}


def _short_place() -> str:
    """Return a folder for temporary ones whose name is short enough: Ray makes sockets far below it."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= _LONGEST else "/tmp"


class KeptRay:
    """A process that has started a Ray on this machine, and one station in it.

    Args:
        wanted: what the station is to be.

    Attributes:
        door: where the station is reached.

    Raises:
        BackendUnavailable: Ray cannot be started.
    """

    def __init__(self, wanted: Wanted) -> None:
        ours, theirs = socket.socketpair()
        self._channel, self._life = Channel(ours), Lifeline()
        self._directory = tempfile.mkdtemp(prefix="omr-ray-", dir=_short_place())
        try:
            self._process = self._start(wanted["env"], theirs)
        except BaseException:
            self._life.close()
            self._free()
            raise
        finally:
            self._life.handed_over()
            theirs.close()
        try:
            self.door: str = self._begin(wanted)
        except BaseException:
            self.close()
            raise

    def _start(self, env: Mapping[str, str], theirs: socket.socket) -> subprocess.Popen[bytes]:
        environment = {**parted({**os.environ, **env})[0], **_settings(Path(self._directory))}
        for name in _NOT_FOR_IT:
            environment.pop(name, None)
        command = [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno()), str(self._life.theirs)]
        return subprocess.Popen(
            [*command, self._directory],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), self._life.theirs),
            start_new_session=True,
            env=environment,
        )

    def _begin(self, wanted: Wanted) -> str:
        try:
            self._channel.send("config", dict(wanted))
            received = self._channel.receive()
        except OSError:
            received = None
        if received is None:
            raise BackendUnavailable(
                "the process that starts Ray has ended; what it said is in this program's error output"
            )
        data = received[0].data
        if received[0].kind == "failed":
            raise refusal(data["kind"], data["error"])
        return str(data["door"])

    def close(self) -> None:
        """End it, and all that it has started."""
        self._life.close()
        self._process.wait()
        self._free()

    def _free(self) -> None:
        self._channel.close()
        shutil.rmtree(self._directory, ignore_errors=True)
