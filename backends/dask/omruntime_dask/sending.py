"""How calls get to the scheduler: those that are submitted in one moment go as one graph.

A graph costs client and scheduler more than a task in it does. So the first call goes at once, and what is submitted
within the next moment goes together.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from distributed import Future as Task

from omruntime.abc import Call, pack_call
from omruntime_dask.carried import bringing
from omruntime_dask.connection import Connection
from omruntime_dask.names import key_of

__all__ = ["Sending"]

_MOMENT = 0.003
"""Seconds between two graphs; as long as a call is on its way to the worker anyway."""
_LOOK = 0.001
_LARGE = 1 << 20
"""Bytes of calls in a graph; Dask warns of graphs of 10 MB."""
_RELEASE = 0.1
"""Seconds after which what is over is forgotten, all at once: a message for each would hold up the next call."""

Ended = Callable[[Task], None]


class _Letter(NamedTuple):
    call: Call
    ended: Ended | None


class Sending:
    """Sends calls as tasks of a cluster, and tells of their ends.

    Args:
        connection: to the scheduler.
        requires: returns the resources that a label stands for; None for a worker that is the only one.
    """

    def __init__(self, connection: Connection, requires: Callable[[str], dict[str, float] | None]) -> None:
        self._connection, self._requires = connection, requires
        self._lock = threading.Lock()
        self._letters: list[_Letter] = []
        self._due_in: Any = None
        self._next = 0.0
        self._over: list[Task] = []
        self._releasing = False

    def send(self, calls: Sequence[Call], ended: Ended | None = None) -> None:
        """Send calls, now or within a moment.

        Args:
            calls: what to send.
            ended: told, in the client's event loop, of each task that is over; None where nobody asks.

        Raises:
            BackendUnavailable: the client has lost its scheduler for good.
        """
        loop = self._connection.client.loop
        with self._lock:
            self._letters += [_Letter(call, ended) for call in calls]
            if self._due_in is loop:
                return
            # The loop of a client that has given up never comes to what it was asked to do.
            self._due_in = loop
        loop.add_callback(self._due)

    def _due(self) -> None:
        loop = asyncio.get_running_loop()
        if (rest := self._next - loop.time()) > 0:
            loop.call_later(rest, self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        """Send what there is to send; in the client's event loop."""
        self._next = asyncio.get_running_loop().time() + _MOMENT
        with self._lock:
            letters, self._letters, self._due_in = self._letters, [], None
        for label in dict.fromkeys(letter.call.label for letter in letters):
            for graph in _graphs([letter for letter in letters if letter.call.label == label]):
                self._send(graph, label)

    def _send(self, graph: Sequence[tuple[_Letter, bytes]], label: str) -> None:
        client, letters = self._connection.client, [letter for letter, _ in graph]
        keys = [key_of(letter.call.name) for letter in letters]
        work = bringing([packed for _, packed in graph], keys)
        tasks = client.map(*work, key=keys, resources=self._requires(label), pure=False)
        # What fire_and_forget() sends for each of them: they go on without this client.
        client._send_to_scheduler({"op": "client-desires-keys", "keys": keys, "client": "fire-and-forget"})  # noqa: SLF001
        for task, letter in zip(tasks, letters, strict=True):
            task._state._event = _End(self, task, letter.ended)  # noqa: SLF001

    def drain(self) -> None:
        """Return when all that was sent has left this process, and goes on if that is killed now.

        Where the scheduler takes nothing, or is away, stewards send what was recorded.
        """
        self._connection.finish(self._drained)

    async def _drained(self) -> None:
        self.flush()
        line = self._connection.client.scheduler_comm
        while line is not None and not line.closed() and _is_busy(line):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)  # Dask has no event for it

    def over(self, task: Task, ended: Ended | None) -> None:
        """Tell of the end of a task, and let go of it soon; in the client's event loop."""
        if ended is not None:
            ended(task)
        self._over.append(task)
        if not self._releasing:
            self._releasing = True
            asyncio.get_running_loop().call_later(_RELEASE, self._release)

    def _release(self) -> None:
        self._releasing = False
        self._over.clear()


def _is_busy(line: Any) -> bool:
    """Tell whether a connection to the scheduler has something left to write."""
    stream = getattr(line.comm, "stream", None)
    return bool(line.buffer) or (stream is not None and bool(stream.writing()))


def _graphs(letters: Sequence[_Letter]) -> Iterator[list[tuple[_Letter, bytes]]]:
    """Yield the calls with what is sent of them, as many at a time as Dask takes without a warning."""
    graph: list[tuple[_Letter, bytes]] = []
    size = 0
    for letter in letters:
        packed = pack_call(letter.call)
        if graph and size + len(packed) > _LARGE:
            yield graph
            graph, size = [], 0
        graph.append((letter, packed))
        size += len(packed)
    if graph:
        yield graph


class _End(asyncio.Event):
    """What Dask sets when a task is over; a coroutine that waits for each costs as much as the task."""

    def __init__(self, sending: Sending, task: Task, ended: Ended | None) -> None:
        super().__init__()
        self._tell: Callable[[], None] | None = partial(sending.over, task, ended)

    def set(self) -> None:
        super().set()
        if self._tell is not None:
            tell, self._tell = self._tell, None
            tell()
