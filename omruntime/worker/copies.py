"""The executed copy of a notebook: stored again and again while it runs, current with the end of its task."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Any

import nbformat

from omruntime.abc import Space
from omruntime.errors import SerializationError, TaskRevoked
from omruntime.ledger.facts import end_key
from omruntime.store import RESULTS, Metadata, decode_record
from omruntime.worker.context import TaskContext

__all__ = ["ExecutedCopy"]

_ALLOWANCE = 0.5
"""Seconds that every run may spend on storing its copy while it goes on."""
_SHARE = 0.1
"""Share of the time of a run that may be spent on it beyond that."""
_LONGEST_TEXT = 1000
_MOST_ITEMS = 100
_DEEPEST = 5


class ExecutedCopy:
    """The copy that one attempt of a run executes.

    It is stored in the run's own name and staged: what was stored last counts, however the attempt ends.

    Args:
        context: the attempt.
        node: the notebook, which is changed.
        parameters: what the run was given, to be told in the copy.

    Attributes:
        node: the notebook.
        name: the name that the copy is stored under.
    """

    def __init__(self, context: TaskContext, node: Any, parameters: dict[str, Any]) -> None:
        self.node = node
        self._context = context
        self._parameters = _plain(parameters)
        self._begun = time.monotonic()
        self._spent = 0.0
        self._blobs: list[set[str]] = []
        self._changed = True
        self._take_name()
        for cell in node.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None

    def _take_name(self) -> None:
        self._started = datetime.now(UTC)
        notebook = self._context.header.name.removesuffix(".ipynb")
        self.name = f"{RESULTS}{notebook}_{self._started:%Y-%m-%d %H:%M:%S.%f}.ipynb"
        self._view = self._context.stage(self._context.om.jobs, kept=True)

    def change(self) -> None:
        """Note that there is something to be stored."""
        self._changed = True

    def keep_when_cheap(self, at: str) -> None:
        """Store what has changed, unless too much of the run's time has gone into that already."""
        if self._changed and self._spent <= _ALLOWANCE + _SHARE * (time.monotonic() - self._begun):
            self.keep(at)

    def keep(self, at: str) -> None:
        """Store the copy as it is, for the case that the run comes to no end of its own.

        Args:
            at: what it was doing.
        """
        begun = time.monotonic()
        self._put("ERROR", f"it was stopped {at}")
        self._context.keep(self._view.effects, self.name)
        self._spent += time.monotonic() - begun

    def finish(self, status: str, message: str = "") -> Metadata:
        """Store the copy as it stays and return its metadata."""
        return self._put(status, message)

    def _put(self, status: str, message: str) -> Metadata:
        self._changed = False
        meta = self._stored(status, message)
        while meta.revision > 1 and not self._blobs:
            # Another run has begun in the same microsecond, and has the name.
            self._context.unstage(self._view)
            self._take_name()
            meta = self._stored(status, message)
        self._check_not_ended()
        self._drop_older()
        return meta

    def _stored(self, status: str, message: str) -> Metadata:
        header = self._context.header
        run = {"status": status, "ts": self._started, "message": message}
        self.node.metadata["omruntime"] = {
            "job": header.name,
            "task": header.id,
            "attempt": self._context.attempt,
            "parameters": self._parameters,
            **run,
            "ts": self._started.isoformat(),
        }
        attributes = {"source_job": header.name, "task_id": header.id, "job_run": run}
        try:
            return self._view.put(self.node, self.name, attributes=attributes)
        except SerializationError:
            # A kernel may publish what the format does not know; the rest of the copy must not be lost for it.
            if not _drop_invalid(self.node):
                raise
            return self._view.put(self.node, self.name, attributes=attributes)

    def _check_not_ended(self) -> None:
        """Take back what was stored where somebody has ended the attempt: a late writer changes nothing."""
        context = self._context
        if context.site.store.get(Space.LEDGER, [end_key(context.header.id, context.attempt)]):
            context.unstage(self._view)
            raise TaskRevoked(f"{context.header.title} has been ended by somebody else", task=context.header.id)

    def _drop_older(self) -> None:
        """Delete what the copies before the last one consisted of; that one the host may still have to go by."""
        self._blobs.append({ref.name for effect in self._view.effects for ref in decode_record(effect.settled).blobs})
        if len(self._blobs) > 2:
            gone = self._blobs.pop(0) - self._blobs[0] - self._blobs[1]
            self._context.site.store.delete_blobs(gone)


def _drop_invalid(node: Any) -> bool:
    """Replace outputs that are not valid by a note; False where there are none."""
    dropped = False
    for cell in node.cells:
        for place, output in enumerate(cell.get("outputs", [])):
            if not _is_valid(output):
                text = (
                    f"[an output of type {output.get('output_type')!r} that the format does not allow is left out]\n"
                )
                cell.outputs[place] = nbformat.v4.new_output("stream", name="stderr", text=text)
                dropped = True
    return dropped


def _is_valid(output: Any) -> bool:
    try:
        cell = nbformat.v4.new_code_cell("", outputs=[output])
        nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
    except (nbformat.ValidationError, AttributeError, KeyError, TypeError, ValueError):
        return False
    return True


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value as a notebook can tell it: plain as it is where it is short, else by its `repr`."""
    if value is None or isinstance(value, bool):
        return value
    if type(value) is int and abs(value) < 2**53:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is str:
        return value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "..."
    if depth < _DEEPEST and type(value) in (list, tuple) and len(value) <= _MOST_ITEMS:
        return [_plain(each, depth + 1) for each in value]
    if depth < _DEEPEST and type(value) is dict and len(value) <= _MOST_ITEMS:
        return {str(key): _plain(each, depth + 1) for key, each in value.items()}
    return _shown(value)


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as exc:  # noqa: BLE001 - a user's __repr__ may raise anything
        return f"<{type(value).__name__}, whose repr raises {type(exc).__name__}>"
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "..."
