"""A bar over tasks that are waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omruntime.ledger import Ledger
from omruntime.pictures import Count, follow, polled

__all__ = ["show_progress"]


def show_progress(title: str, ledger: Ledger, tasks: Sequence[str], is_over: Callable[[], bool]) -> None:
    """Show how many of some tasks are over, until all are; an interrupt ends the watching, not the work.

    Args:
        title: what to call them.
        ledger: where their ends are.
        tasks: their ids.
        is_over: tells that the whole is over, whatever the ledger says of its parts: records of theirs may be gone.
    """
    left, failed = set(tasks), 0

    def count() -> Count:
        nonlocal failed
        over = is_over()
        for task, (_, end) in ledger.ends(left).items():
            left.discard(task)
            failed += end.state != "SUCCESS"
        return Count(len(tasks) if over else len(tasks) - len(left), len(tasks), failed)

    follow(title, polled(count))
