"""A runner as its host sees it: a child process in a process group of its own, with a channel and an output pipe."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from omruntime.abc import Buffer
from omruntime.auth import KEY_VARIABLE
from omruntime.config import RUNTIME_VARIABLE
from omruntime.logins import known, parted
from omruntime.masking import mask
from omruntime.worker.channel import Channel, Message
from omruntime.worker.life import Lifeline
from omruntime.worker.output import OutputPipe

__all__ = ["RUNNER_MODULE", "Exit", "RunnerProcess"]

RUNNER_MODULE = "omruntime.runner"


EXIT_LIMIT = 2.0
"""Seconds that a runner may take from hanging up to its end."""
_EXIT_POLL = 0.002


class Exit:
    """How a process ended."""

    def __init__(self, returncode: int) -> None:
        self.signal = -returncode if returncode < 0 else None
        self.exitcode = returncode if returncode >= 0 else None

    def __str__(self) -> str:
        if self.signal is None:
            return f"exited with code {self.exitcode}"
        if self.signal == signal.SIGKILL:
            return "was killed by SIGKILL (as the kernel does where memory runs out)"
        try:
            return f"was killed by {signal.Signals(self.signal).name}"
        except ValueError:
            return f"was killed by signal {self.signal}"


class RunnerProcess:
    """One runner.

    Args:
        name: name of the runner among its host's.
        labels: labels of the tasks that it may run.
        config: what it needs to know, sent over the channel and so never in an argument or a variable.
        env: environment variables to set beside those of this process.
        cwd: its working directory.
    """

    def __init__(
        self, name: str, labels: frozenset[str], config: dict[str, Any], env: Mapping[str, str], cwd: str
    ) -> None:
        environment, logins = parted({**os.environ, **env})
        self.name = name
        self.labels = labels
        self.ready = threading.Event()
        self.output = OutputPipe()
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        self._life = Lifeline()
        self._told: set[str] = set()
        try:
            self._process = self._start(theirs.fileno(), self._life.theirs, environment, cwd)
        except BaseException:
            self._free()
            self.output.close()
            raise
        finally:
            self._life.handed_over()
            theirs.close()
            self.output.close_write_end()
        self.pid = self._process.pid
        self.send("config", {**config, "name": name, "labels": sorted(labels), "logins": logins})

    def _start(self, channel: int, life: int, environment: dict[str, str], cwd: str) -> subprocess.Popen[bytes]:
        environment.pop(KEY_VARIABLE, None)
        if runtime := environment.get(RUNTIME_VARIABLE):
            # Tasks have their engine from this host, and its password is none of theirs.
            environment[RUNTIME_VARIABLE] = mask(runtime)
        return subprocess.Popen(
            [sys.executable, "-P", "-m", RUNNER_MODULE, str(channel), str(life)],
            stdin=subprocess.DEVNULL,
            stdout=self.output.write_end,
            stderr=self.output.write_end,
            pass_fds=(channel, life),
            start_new_session=True,
            env=environment,
            cwd=cwd,
        )

    def send(self, kind: str, data: dict[str, Any], buffers: tuple[Buffer, ...] = ()) -> None:
        """Send a message; a runner that is gone is noticed by whoever receives."""
        try:
            self._channel.send(kind, data, buffers)
        except OSError:
            return

    def send_task(self, store_url: str, data: dict[str, Any], buffers: tuple[Buffer, ...]) -> None:
        """Send a task, and with the first one of a store what it needs to open that."""
        if store_url not in self._told:
            self._told.add(store_url)
            data = {**data, "logins": known(store_url)}
        self.send("task", data, buffers)

    def tell(self, kind: str, data: dict[str, Any], buffers: tuple[Buffer, ...] = ()) -> bool:
        """Send a message that the runner can do without, unless that would mean to wait for it."""
        return self._channel.try_send(kind, data, buffers)

    def receive(self) -> tuple[Message, list[memoryview]] | None:
        """Wait for a message of the runner; None when it is gone."""
        return self._channel.receive()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the runner and all processes that it started."""
        if self._process.returncode is None:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                return

    def has_died(self) -> bool:
        """Tell whether the process has ended, without waiting for it; its exit is kept for `reap`."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def hang_up(self) -> None:
        """Make the thread that waits in `receive` see the end."""
        self._channel.shutdown()

    def reap(self) -> Exit:
        """Wait for the process, end what is left of its group, and free all that belongs to it.

        A runner that has hung up is on its way out, and has `EXIT_LIMIT` seconds for what its libraries do at exit.
        """
        deadline = time.monotonic() + EXIT_LIMIT
        while not self.has_died() and time.monotonic() < deadline:
            time.sleep(_EXIT_POLL)
        # It is not waited for yet, so its pid cannot belong to anybody else.
        self.signal(signal.SIGKILL)
        code = self._process.wait()
        self._free()
        return Exit(code)

    def _free(self) -> None:
        self._channel.close()
        self._life.close()
