"""What an engine raises, as omruntime says it: one table for each engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from omruntime.errors import OmegaRuntimeError

__all__ = ["translating"]


@contextmanager
def translating(table: Mapping[type[Exception], tuple[type[OmegaRuntimeError], str]]) -> Iterator[None]:
    """Raise our errors for those of an engine, within a block or, as a decorator, in a function.

    Args:
        table: for each type of the engine's what to raise, and its message; ``{error}`` in it is what the engine says.
            The first type that fits counts.
    """
    try:
        yield
    except tuple(table) as exc:
        kind, message = next(found for type_, found in table.items() if isinstance(exc, type_))
        raise kind(message.format(error=exc)) from exc
