"""The suite's log as a small table for people: who did what, when, and in which task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from omruntime_conformance.oracle import Entry

__all__ = ["timeline"]

_LONGEST = 60
"""Lines of a table; of a longer log the middle is left out."""
_WIDEST = 70
"""Characters of what a line says besides the event."""
_ID = 36
"""Characters of the id of a task or canvas; behind it a step has its number."""
_NOTHING = "(no task has noted anything)"


def timeline(entries: Sequence[Entry]) -> str:
    """Return lines of the log as aligned text: seconds since the first one, process, label, task, event.

    What the suite did itself has ``suite`` in the place of the process. Machines have clocks of their own: with more
    than one machine the process names it, and seconds count from the first line of that machine.
    """
    if not entries:
        return _NOTHING
    rows = [("seconds", "process", "label", "task", "event"), *_rows(entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [_line(row, widths) for row in rows]
    left_out = len(lines) - 1 - _LONGEST
    if left_out > 0:
        half = _LONGEST // 2
        lines[1 + half : -half] = [f"... {left_out} lines in the middle are left out ..."]
    return "\n".join(lines)


def _rows(entries: Sequence[Entry]) -> Iterator[tuple[str, ...]]:
    hosts = {each.host for each in entries}
    first: dict[str, float] = {}
    runs: dict[str, list[str]] = {}
    for each in entries:
        seconds = f"{each.at - first.setdefault(each.host, each.at):.3f}"
        process = f"{each.pid}@{each.host}" if len(hosts) > 1 else str(each.pid)
        if each.by:
            process = each.by
        executions = runs.setdefault(each.task, [])
        if each.execution and each.execution not in executions:
            executions.append(each.execution)
        yield seconds, process, each.label, _task(each, executions), _event(each)


def _task(entry: Entry, executions: list[str]) -> str:
    words = [entry.name] if entry.name else []
    if entry.task:
        words.append(_short(entry.task))
    if entry.execution and executions.index(entry.execution):
        words.append(f"(execution {executions.index(entry.execution) + 1})")
    return " ".join(words)


def _short(task: str) -> str:
    """Return what tells a task from others: the end of its id, where ids differ most, and the number of a step."""
    own, more = task[:_ID], task[_ID:]
    return own[-6:] + more


def _event(entry: Entry) -> str:
    words = " ".join(f"{key}={value!r}" for key, value in entry.data.items())
    return f"{entry.what} {words if len(words) <= _WIDEST else words[:_WIDEST] + '...'}".rstrip()


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    seconds, *others = row[:4]
    cells = [seconds.rjust(widths[0]), *(cell.ljust(width) for cell, width in zip(others, widths[1:], strict=True))]
    return "  ".join([*cells, row[4]]).rstrip()
