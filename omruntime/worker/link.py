"""The runner's side of the channel to its host: what a task may ask of the engine that runs it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeAlias

from omruntime.abc import Call, Capability, WorkerInfo
from omruntime.errors import OmegaRuntimeError, RuntimeClosed, UnsupportedCapability
from omruntime.store import Effect
from omruntime.worker.channel import Channel, Message

__all__ = ["Answer", "HostLink", "effect_rows"]

Answer: TypeAlias = bytes | Exception
"""A packed outcome, empty where only the ledger can tell; or why the task cannot wait."""
Received: TypeAlias = tuple[Message, list[memoryview]]


def effect_rows(effects: list[Effect]) -> list[list[Any]]:
    """Return effects as they travel to the host."""
    return [[each.key, each.settled, list(each.replaces), each.kept] for each in effects]


class HostLink:
    """Carries the calls and waits of a task to the host, and what the host has to say back.

    Between tasks the runner's own thread reads the channel. The first task that wants an answer has a thread read it
    from then on, and the runner's thread gets its tasks from that one.

    Attributes:
        address: address of the engine.
        runtime: host id that the work of this engine dies with; empty where it does not.
        capabilities: what the engine can do.
    """

    def __init__(self, channel: Channel, config: dict[str, Any]) -> None:
        self._channel = channel
        self._asking = threading.Lock()
        self._lock = threading.Lock()
        self._task_runs = False
        self._reader: threading.Thread | None = None
        self._for_runner: SimpleQueue[Received | None] = SimpleQueue()
        self._replies: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._listeners: dict[str, list[Callable[[Answer], None]]] = {}
        self._pid = os.getpid()
        self.worker: str = config["name"]
        self.address: str = config["address"]
        self.runtime: str = config["runtime"]
        self.capabilities = frozenset(Capability[name] for name in config["capabilities"])

    # -- for the runner ------------------------------------------------------------------------------------------

    def receive(self) -> Received | None:
        """Wait for the next message to the runner; None when the host is gone."""
        return self._channel.receive() if self._reader is None else self._for_runner.get()

    def task_begins(self) -> None:
        """Allow questions and waits."""
        self._task_runs = True

    def task_ends(self) -> None:
        """End questions, once the one that is under way is answered, and waits."""
        with self._asking, self._lock:
            self._task_runs = False
            self._listeners.clear()

    def _start_reader(self) -> None:
        """Have a thread read the channel; the lock is held, and a task runs, so that nobody else reads it."""
        if self._reader is None:
            self._reader = threading.Thread(target=self._read, name="omruntime-link", daemon=True)
            self._reader.start()

    def _read(self) -> None:
        while (received := self._channel.receive()) is not None:
            message, buffers = received
            if message.kind == "told":
                self._hear(message.data["task"], bytes(buffers[0]))
            elif message.kind == "refused":
                for task in message.data["tasks"]:
                    self._hear(task, _cannot_wait(task, message.data["why"]))
            elif message.kind == "reply":
                self._replies.put(message.data)
            else:
                self._for_runner.put(received)
        self._for_runner.put(None)
        self._replies.put(None)

    def _hear(self, task: str, answer: Answer) -> None:
        with self._lock:
            listeners = list(self._listeners.get(task, ()))
        for listener in listeners:
            listener(answer)

    # -- for tasks -----------------------------------------------------------------------------------------------

    def submit(self, call: Call) -> Future[bytes]:
        """Send a call; the future stays open, since whoever waits is told, or reads the ledger."""
        data = {"id": call.id, "name": call.name, "label": call.label}
        self._send("submit", data, call.payload)
        return Future()

    def submit_canvas(self, canvas: str, calls: Sequence[Call]) -> None:
        """Send the first steps of a canvas."""
        for call in calls:
            self._send(
                "submit", {"id": call.id, "name": call.name, "label": call.label, "canvas": canvas}, call.payload
            )

    def keep(self, effects: list[Effect], results: str) -> None:
        """Tell what the task has stored that counts however it ends, and the name of its executed copy."""
        self._send("kept", {"effects": effect_rows(effects), "results": results})

    def cancel(self, task: str) -> bool:
        """Have the host stop a task that the ledger has as revoked, where it runs it."""
        self._send("cancel", {"task": task})
        return True

    def workers(self) -> list[WorkerInfo]:
        """List the live workers of the host."""
        rows = self._ask("workers").get("workers", [])
        return [WorkerInfo(name, tuple(labels), host, pid, slots) for name, labels, host, pid, slots in rows]

    @contextmanager
    def waiting(self, task: str, listener: Callable[[Answer], None]) -> Iterator[None]:
        """Have the host give this runner's place to another task while the block waits for ``task``.

        Args:
            task: id of the task that is waited for.
            listener: called, perhaps more than once, with what the host says of it.
        """
        if not self._listen(task, listener):
            # A forked child, or a thread that the task has left behind: it is not what the host gave the place to.
            yield
            return
        try:
            yield
        finally:
            self._stop_listening(task, listener)

    def _listen(self, task: str, listener: Callable[[Answer], None]) -> bool:
        if os.getpid() != self._pid:
            return False
        with self._lock:
            if not self._task_runs:
                return False
            self._start_reader()
            listeners = self._listeners.setdefault(task, [])
            listeners.append(listener)
            if len(listeners) == 1:
                self._send("wait", {"task": task})
        return True

    def _stop_listening(self, task: str, listener: Callable[[Answer], None]) -> None:
        with self._lock:
            listeners = self._listeners.get(task, [])
            if listener not in listeners:
                return
            listeners.remove(listener)
            if not listeners:
                del self._listeners[task]
                self._send("resume", {"task": task})

    def _ask(self, question: str) -> dict[str, Any]:
        if threading.current_thread() is self._reader:
            # It is this thread that would read the answer.
            raise OmegaRuntimeError("a callback of a future cannot ask for the workers; ask where the task runs")
        with self._asking:
            with self._lock:
                if not self._task_runs or os.getpid() != self._pid:
                    raise RuntimeClosed("the task that this thread belongs to has ended, and its runtime with it")
                self._start_reader()
            self._send("ask", {"question": question})
            answer = self._replies.get()
        if answer is None:
            raise RuntimeClosed("the host of this task is gone")
        return answer

    def _send(self, kind: str, data: dict[str, Any], buffers: tuple[Any, ...] = ()) -> None:
        try:
            self._channel.send(kind, data, buffers)
        except OSError as exc:
            raise RuntimeClosed("the host of this task is gone") from exc


def _cannot_wait(task: str, why: str) -> UnsupportedCapability:
    return UnsupportedCapability(
        f"waiting for task {task} inside a task was refused, since {why}; the task goes on. Wait outside of tasks, "
        "have fewer tasks wait at a time, or set OMRUNTIME_SPARES to more where the workers start",
        capability=Capability.NESTED_WAIT.name,
    )
