"""Where the stores of one rule lie, and how they are made to fail: SQLite's, in the rule's directory."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

__all__ = ["STORE", "SQLiteStores", "Stores"]

STORE = "store"
"""Name of the store that a rule runs on; others may have any."""


class Stores(ABC):
    """The stores of one rule, by names of the rule's own."""

    @abstractmethod
    def url(self, name: str = STORE) -> str:
        """Return the URL of a store, which need not be there yet."""

    @abstractmethod
    def gone(self) -> AbstractContextManager[None]:
        """Keep everybody from writing to the rule's store within the block."""

    @abstractmethod
    def without_content(self) -> AbstractContextManager[None]:
        """Keep the content of all objects away from the rule's store within the block; its records stay."""

    @abstractmethod
    def raw(self) -> Iterator[bytes]:
        """Yield all that the rule's store keeps, as it keeps it."""


class SQLiteStores(Stores):
    """Directories of this machine.

    Args:
        place: the rule's directory.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    def url(self, name: str = STORE) -> str:
        """Return the URL of a store, which need not be there yet."""
        return f"sqlite:///{self._place / name}"

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Lock the databases of the rule's store, as a program that hangs in a transaction does."""
        databases = sorted((self._place / STORE).glob("*.db"))
        assert databases, f"{self._place / STORE} is no store of the kind that can be locked"
        with ExitStack() as stack:
            for path in databases:
                connection = stack.enter_context(closing(sqlite3.connect(path, isolation_level=None, timeout=30.0)))
                connection.execute("BEGIN IMMEDIATE")
                stack.callback(connection.rollback)
            yield

    @contextmanager
    def without_content(self) -> Iterator[None]:
        """Put the files of all objects aside within the block."""
        content = [path for path in (self._place / STORE / "blobs").rglob("*") if path.is_file()]
        assert content, f"{self._place / STORE} has no content that could be taken away"
        aside = self._place / "aside"
        aside.mkdir()
        taken = {path: aside / str(number) for number, path in enumerate(content)}
        for path, other in taken.items():
            path.rename(other)
        try:
            yield
        finally:
            for path, other in taken.items():
                other.rename(path)

    def raw(self) -> Iterator[bytes]:
        """Yield the content of every file."""
        for path in (self._place / STORE).rglob("*"):
            if path.is_file():
                yield path.read_bytes()
