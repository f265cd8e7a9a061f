"""Parts that content consists of to which something was appended: many small ones become few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["Part", "merged"]

Part: TypeAlias = dict[str, Any]
"""Facts of a part, ``level`` and ``rows`` among them; what was just appended has level 0."""

_FAN = 16
_LARGE = 1_000_000


def merged(parts: list[Part], join: Callable[[list[Part]], Part]) -> list[Part]:
    """Return the same content in fewer parts, so that n appends leave some log(n) of them.

    So many parts of one level in a row become one of the next, by ``join``, until that would be a large one.
    """
    while True:
        tail = parts[-_FAN:]
        level = tail[-1]["level"]
        alike = len(tail) == _FAN and all(each["level"] == level for each in tail)
        if not alike or sum(each["rows"] for each in tail) > _LARGE:
            return parts
        parts = [*parts[:-_FAN], {**join(tail), "level": level + 1}]
