"""What a task is handed by tasks before it: read off the ledger where it runs, and put where its action looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omruntime.auth import Auth
from omruntime.errors import ResultExpired
from omruntime.ledger import End, step_id
from omruntime.store import Metadata
from omruntime.wire import CallHeader, Source, Upstream, read_outcome
from omruntime.worker.context import TaskOmega
from omruntime.worker.sites import Site

__all__ = ["add_upstream"]


def add_upstream(header: CallHeader, request: Any, site: Site, om: TaskOmega, auth: Auth) -> Any:
    """Return the arguments of a task with what is handed to it; those that were given at the call win.

    A model gets it as X, a script or a notebook as ``result`` or ``results``, a callback with ``state``.

    Raises:
        ResultExpired: the record of a task before it is gone.
        OmegaRuntimeError: a value cannot be loaded here.
    """
    upstream = header.upstream
    if upstream is None:
        return request
    reader = _Reader(upstream, site, om, auth)
    if upstream.role == "callback":
        given = reader.told()
    elif header.kind == "model":
        return request if request["X"] is not None else {**request, "X": ["value", reader.value(upstream.source)]}
    else:
        given = {upstream.role: reader.value(upstream.source)}
    return {**request, "given": given}


class _Reader:
    """Reads the values that a source names."""

    def __init__(self, upstream: Upstream, site: Site, om: TaskOmega, auth: Auth) -> None:
        self._upstream = upstream
        self._site, self._om, self._auth = site, om, auth
        self._ends = site.ledger.ends(self._tasks())

    def _tasks(self) -> list[str]:
        of = self._upstream.of
        if self._upstream.role == "callback":
            return [of]
        return [step_id(of, number) for number in _steps(self._upstream.source)]

    def value(self, source: Source) -> Any:
        """Return the value of a source."""
        if source.items is None:
            return self._taken(step_id(self._upstream.of, source.first), source.take)
        values: list[Any] = []
        for item in source.items:
            if item.items is not None:
                values.append(self.value(item))
            else:
                of, numbers = self._upstream.of, range(item.first, item.first + item.count)
                values += [self._taken(step_id(of, number), item.take) for number in numbers]
        return values

    def told(self) -> dict[str, Any]:
        """Return what a callback is told: the state that its task ended in, and the result where there is one."""
        task = self._upstream.of
        state = self._end(task).state
        if state != "SUCCESS":
            return {"state": state}
        return {"state": state, "result": self._taken(task, self._upstream.source.take)}

    def _taken(self, task: str, take: str) -> Any:
        status, value = read_outcome(self._end(task).outcome, task=task, store=self._site.store, auth=self._auth)
        if status != "SUCCESS":
            # The plan never asks for the value of a step that has failed.
            raise value
        if take == "result":
            return value["result"]
        if take == "dataset" and isinstance(value, Metadata) and value.prefix == self._om.datasets.prefix:
            return self._om.datasets.get(value)
        return value

    def _end(self, task: str) -> End:
        if task not in self._ends:
            raise ResultExpired(f"the value of task {task} was forgotten before the task that needs it could run")
        return self._ends[task][1]


def _steps(source: Source) -> Iterator[int]:
    if source.items is None:
        yield from range(source.first, source.first + max(1, source.count))
    else:
        for item in source.items:
            yield from _steps(item)
