"""What a call requires of its worker and of the contract: label, retries, time limit."""

from __future__ import annotations

import operator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

__all__ = ["LOCAL", "OnMissing", "Requirements", "is_local_label", "normal_label"]

OnMissing = Literal["wait", "error"]
LOCAL = "local"
"""The label of the client's own embedded runtime; every worker of it has it, and no other one."""


def is_local_label(label: str | None) -> bool:
    """Tell whether a label asks for the client's embedded runtime."""
    return label is not None and LOCAL in label.split(",")


def normal_label(label: str) -> str:
    """Return labels in their one spelling: sorted, separated by commas, without spaces.

    Raises:
        ValueError: there is no label in it.
        TypeError: it is no text.
    """
    if not isinstance(label, str):
        raise TypeError(f"label={label!r} must be text; say require('gpu') or require('gpu,big')")
    parts = sorted({part.strip() for part in label.split(",") if part.strip()})
    if not parts:
        raise ValueError(f"{label!r} names no label; say require('gpu') or require('gpu,big')")
    return ",".join(parts)


@dataclass(frozen=True, slots=True)
class Requirements:
    """Requirements of a call; None leaves a question to the next one asked: object, runtime, default."""

    label: str | None = None
    retries: int | None = None
    retry_delay: float | None = None
    timeout: float | None = None
    on_missing: OnMissing | None = None
    callback: str | None = None
    """Name of the script that is run once a task is over."""

    def __post_init__(self) -> None:
        if self.retries is not None:
            object.__setattr__(self, "retries", _whole(self.retries))
        for name in ("retry_delay", "timeout"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _seconds(name, value))
        if self.on_missing not in (None, "wait", "error"):
            raise ValueError(f"on_missing={self.on_missing!r} must be 'wait' or 'error'")

    def with_mode(self, local: bool) -> Requirements:
        """Return these requirements with the label ``local`` added or taken away."""
        rest = {part for part in (self.label or "").split(",") if part not in ("", LOCAL)}
        return replace(self, label=",".join(sorted(rest | {LOCAL} if local else rest)) or None)

    def over(self, other: Requirements) -> Requirements:
        """Return these requirements, with those of ``other`` where these say nothing."""
        missing: dict[str, Any] = {
            each.name: getattr(other, each.name) for each in fields(self) if getattr(self, each.name) is None
        }
        return replace(self, **missing)


def _whole(retries: Any) -> int:
    try:
        number = operator.index(retries)
    except TypeError:
        raise TypeError(f"retries={retries!r} must be a whole number; 0 means: never twice") from None
    if number < 0:
        raise ValueError(f"retries={number} must not be negative; 0 means: never twice")
    return number


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{name}={value!r} must be a number of seconds")
    if not value >= 0:
        raise ValueError(f"{name}={value} must be a number of seconds, not negative")
    return float(value)
