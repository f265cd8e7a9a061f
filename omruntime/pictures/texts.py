"""Texts as they may be shown: masked, without control characters, not too long; times and sizes in words."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from omruntime.masking import mask_text, masked

__all__ = ["clipped", "clock", "lasting", "presentable", "pretty", "size"]

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LONGEST_LINE = 2000
_WIDTH = 96
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def presentable(text: str) -> str:
    """Return a text that may be shown anywhere: no secret of a URL, no escape sequence, no half character."""
    text = text.replace("\r\n", "\n").encode("utf-8", "replace").decode()
    return mask_text(_CONTROLS.sub("", _ESCAPES.sub("", text)))


def clipped(text: str, lines: int, *, last: bool = False) -> str:
    """Return at most so many lines of a text, the first or the last ones, and say how many there are besides."""
    all_lines = [
        line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} …" for line in text.rstrip().split("\n")
    ]
    left_out = len(all_lines) - lines
    if left_out <= 0:
        return "\n".join(all_lines)
    note = f"… {left_out} more lines"
    return "\n".join([note, *all_lines[-lines:]] if last else [*all_lines[:lines], note])


def pretty(value: Any, lines: int = 20) -> str:
    """Return a value as a short text that is laid out well, its secrets masked; whatever its repr does."""
    if isinstance(value, str) and "\n" in value:
        return clipped(value, lines)
    from rich.pretty import pretty_repr

    text = pretty_repr(masked(value), max_width=_WIDTH, max_length=12, max_string=1000, max_depth=6)
    return clipped(text, lines)


def clock(stamp: float) -> str:
    """Return seconds since the epoch as local time; empty for 0."""
    return dt.datetime.fromtimestamp(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S") if stamp else ""


def lasting(seconds: float) -> str:
    """Return how long something took, for people."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.5:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {whole:02} s"


def size(count: float) -> str:
    """Return a number of bytes, for people."""
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 or count >= 99.5 else f"{count:.1f} {_UNITS[unit]}"
