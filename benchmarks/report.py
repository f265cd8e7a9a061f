"""Figures of one run: ours, native, the ratio, and the goal."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Figure", "median_of", "seconds", "table"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing."""

    name: str
    unit: str
    ours: float
    native: float | None = None
    """The same done without us; None where there is nothing to compare with."""
    goal: float | None = None
    """The ratio, or where there is no native figure the figure itself, that should not be passed."""

    @property
    def ratio(self) -> float | None:
        """Ours divided by native."""
        return self.ours / self.native if self.native else None

    @property
    def verdict(self) -> str:
        """Whether the goal is kept; empty without one."""
        if self.goal is None:
            return ""
        measured = self.ratio if self.native is not None else self.ours
        return "kept" if measured is not None and measured <= self.goal else "MISSED"


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median_of(count: int, work: Callable[[], object]) -> float:
    """Return the median of ``count`` calls in seconds."""
    return statistics.median(seconds(work) for _ in range(count))


def table(figures: list[Figure]) -> str:
    """Return the figures as text."""
    rows = [("what", "unit", "ours", "native", "ratio", "goal", "")]
    for each in figures:
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        native = "" if each.native is None else f"{each.native:.3g}"
        goal = "" if each.goal is None else f"{each.goal:g}"
        rows.append((each.name, each.unit, f"{each.ours:.3g}", native, ratio, goal, each.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
