"""The harness that mutants are tried on."""

from __future__ import annotations

import os
import signal

from omruntime.abc import WorkerInfo
from omruntime_conformance.local import LocalHarness

__all__ = ["MutantHarness"]


class MutantHarness(LocalHarness):
    """The embedded engine with every fault that can be injected, so that no rule is left out.

    It has less patience than others: what a mutant never does is waited for in vain.
    """

    patience = 0.5

    def kill_node(self, worker: WorkerInfo) -> None:
        """Kill the worker: on this engine a node is a process."""
        os.kill(worker.pid, signal.SIGKILL)

    def restart_broker(self) -> None:
        """Do nothing: this engine has no broker, so its restart is one that nobody notices."""
