"""Many things, taken so many at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["pages"]

Item = TypeVar("Item")


def pages(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield items in lists of at most ``size``."""
    iterator = iter(items)
    while page := list(itertools.islice(iterator, size)):
        yield page
