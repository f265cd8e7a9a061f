"""The runner's side of the channel to its host: what a task may ask of the engine that runs it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from omruntime.abc import Call, Capability, WorkerInfo
from omruntime.errors import RuntimeClosed
from omruntime.store import Effect
from omruntime.worker.channel import Channel

__all__ = ["HostLink", "effect_rows"]


def effect_rows(effects: list[Effect]) -> list[list[Any]]:
    """Return effects as they travel to the host."""
    return [[each.key, each.settled, list(each.replaces), each.kept] for each in effects]


class HostLink:
    """Carries the calls of a task to the host, which sends them on as its engine does.

    Attributes:
        address: address of the engine.
        runtime: host id that the work of this engine dies with; empty where it does not.
        capabilities: what the engine can do.
    """

    def __init__(self, channel: Channel, config: dict[str, Any]) -> None:
        self._channel = channel
        self._asking = threading.Lock()
        self._task_runs = False
        self.worker: str = config["name"]
        self.address: str = config["address"]
        self.runtime: str = config["runtime"]
        self.capabilities = frozenset(Capability[name] for name in config["capabilities"])

    def submit(self, call: Call) -> Future[bytes]:
        """Send a call; the future stays open, since the ledger tells its outcome."""
        data = {"id": call.id, "name": call.name, "label": call.label}
        try:
            self._channel.send("submit", data, call.payload)
        except OSError as exc:
            raise RuntimeClosed("the host of this task is gone") from exc
        return Future()

    def keep(self, effects: list[Effect], results: str) -> None:
        """Tell what the task has stored that counts however it ends, and the name of its executed copy."""
        self._channel.send("kept", {"effects": effect_rows(effects), "results": results})

    def workers(self) -> list[WorkerInfo]:
        """List the live workers of the host."""
        rows = self._ask("workers").get("workers", [])
        return [WorkerInfo(name, tuple(labels), host, pid, slots) for name, labels, host, pid, slots in rows]

    def _ask(self, question: str) -> dict[str, Any]:
        with self._asking:
            if not self._task_runs:
                raise RuntimeClosed("the task that this thread belongs to has ended, and its runtime with it")
            self._channel.send("ask", {"question": question})
            received = self._channel.receive()
        if received is None:
            raise RuntimeClosed("the host of this task is gone")
        return received[0].data

    def task_begins(self) -> None:
        """Allow questions: from now on nobody else receives on the channel."""
        self._task_runs = True

    def task_ends(self) -> None:
        """End questions, and wait for one that is under way."""
        with self._asking:
            self._task_runs = False
