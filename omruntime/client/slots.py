"""How many workers somebody asks for, checked: ``workers=`` of a runtime, and ``scale``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omruntime.client.requirements import LOCAL

__all__ = ["slot_counts"]


def slot_counts(workers: Mapping[str, int] | int, said: str = "workers", least: int = 1) -> Mapping[str, int]:
    """Return slots by label.

    Args:
        workers: a number of slots for each label set, or one for the label ``default``.
        said: how it was given, for messages.
        least: the smallest number that there can be.

    Raises:
        TypeError: it is no mapping of labels to whole numbers.
        ValueError: a number is too small, or what stands for a label is none that workers can have.
    """
    slots = {"default": workers} if isinstance(workers, int) else workers
    if isinstance(workers, bool) or not isinstance(slots, Mapping):
        raise TypeError(f"{said}={workers!r}; say {said}=2, or {said}={{'default': 2, 'gpu': 1}}")
    if not slots:
        raise ValueError(f"{said}={{}} names no label; say {said}=2, or {said}={{'default': 2, 'gpu': 1}}")
    for label, count in slots.items():
        _check(label, count, f"{said}={{{label!r}: {count!r}}}", least)
    return slots


def _check(label: Any, count: Any, given: str, least: int) -> None:
    wrong = f"{given}: give each label a whole number of slots, at least {least}"
    if not isinstance(count, int) or isinstance(count, bool) or not isinstance(label, str):
        raise TypeError(wrong)
    parts = {part.strip() for part in label.split(",")} - {""}
    if count < least or not parts:
        raise ValueError(wrong)
    if LOCAL in parts:
        raise ValueError(f"{given}: {LOCAL!r} is what every worker of a local runtime is; give it another label")
