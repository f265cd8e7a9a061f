"""Datasets chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Chunks"]


class Chunks:
    """The chunks of a dataset in order, each loaded when it is its turn; it can be gone through again.

    It stays with the content it was made for, also when the dataset is put again meanwhile.

    Args:
        load: returns the rows from the first number up to the second.
        rows: how many rows there are.
        size: rows of a chunk; the last one may have fewer.
    """

    def __init__(self, load: Callable[[tuple[int, int]], Any], rows: int, size: int) -> None:
        self._load = load
        self.rows = rows
        self.size = size

    def __len__(self) -> int:
        return -(-self.rows // self.size)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, self.rows, self.size):
            yield self._load((start, min(start + self.size, self.rows)))

    def __repr__(self) -> str:
        return f"<Chunks: {len(self)} of up to {self.size} rows>"
