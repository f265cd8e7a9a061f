"""What an engine raises, as omruntime says it: by one table for each engine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from omruntime.errors import OmegaRuntimeError

__all__ = ["Translations", "translated_methods", "translating"]

Translations: TypeAlias = Mapping[Any, tuple[type[OmegaRuntimeError], str]]
"""For each type of an engine's errors what is raised instead, and its message; ``{error}`` in it is what the engine
says, and ``{address}`` the address of an opened one. The first type that fits counts.
"""


@contextmanager
def translating(table: Translations, address: str = "") -> Iterator[None]:
    """Raise our errors for those of an engine within a block; ours stay as they are."""
    try:
        yield
    except OmegaRuntimeError:
        # Some of them are errors of the operating system, too.
        raise
    except tuple(table) as exc:
        kind, message = next(found for type_, found in table.items() if isinstance(exc, type_))
        raise kind(message.format(error=exc, address=address)) from exc


def translated_methods(cls: type, names: tuple[str, ...], table: Translations) -> None:
    """Have those methods of a class that it defines itself raise what the table says."""
    for name in names:
        method = vars(cls).get(name)
        if isinstance(method, classmethod):
            setattr(cls, name, classmethod(_translated(method.__func__, table)))
        elif method is not None:
            setattr(cls, name, _translated(method, table))


def _translated(function: Callable[..., Any], table: Translations) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with translating(table, args[0].address):
            return function(*args, **kwargs)

    return call
