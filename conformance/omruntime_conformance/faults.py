"""Signals for the processes of tasks, and only for those that the suite's own log names."""

from __future__ import annotations

import os
import signal
import socket
import subprocess

from omruntime_conformance.oracle import PROCESS, Log

__all__ = ["Processes"]


class Processes:
    """Kills, stops and wakes the processes that run tasks."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def kill(self, pid: int) -> None:
        """Kill the process as the kernel's memory killer does: SIGKILL, no notice.

        Raises:
            ValueError: the log does not name it, it runs on another machine, or it is the suite's own.
        """
        self._send(pid, signal.SIGKILL, "kills")

    def stop(self, pid: int) -> None:
        """Stop the process so that it does not notice; refuses what `kill` refuses."""
        self._send(pid, signal.SIGSTOP, "stops")

    def wake(self, pid: int) -> bool:
        """Let a stopped process go on; False when somebody has ended it in the meantime."""
        try:
            self._send(pid, signal.SIGCONT, "wakes")
        except ProcessLookupError:
            return False
        return True

    def alive(self, pid: int) -> bool:
        """Tell whether the process, named in the log, is still there."""
        try:
            self._send(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def child_runs(self, pid: int) -> bool:
        """Tell whether a process that a task has noted as its child runs still; one that is dead does not."""
        noted = {entry.pid for entry in self._log.entries("child")}
        if pid not in noted:
            raise ValueError(f"no task has noted a child {pid} in the log")
        table = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return bool(table.stdout.strip()) and not table.stdout.lstrip().startswith("Z")

    def _send(self, pid: int, number: int, what: str = "") -> None:
        if pid in (os.getpid(), os.getppid()):
            raise ValueError(f"process {pid} is the suite's own: tasks of this engine run inside of their client")
        hosts = {entry.host for entry in self._log.entries() if entry.pid == pid}
        if not hosts:
            raise ValueError(f"no task has noted process {pid} in the log, so the suite does not touch it")
        if hosts != {socket.gethostname()}:
            raise ValueError(f"process {pid} runs on {', '.join(hosts)}, where the suite cannot send signals")
        if what:
            # Before it happens, so that the order of the log is that of cause and effect.
            self._log.record(f"{what} process {pid}", pid=pid, fault="" if number == signal.SIGCONT else PROCESS)
        os.kill(pid, number)
