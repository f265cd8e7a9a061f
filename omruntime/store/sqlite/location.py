"""Where a SQLite store lives: its URL, its files, and what is wrong with the place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from omruntime.errors import StoreUnavailable
from omruntime.store.sqlite.filesystems import network_file_system

__all__ = ["Location"]

_FILE_ENDINGS = (".db", ".sqlite")
_FORMS = "write sqlite:///relative/path or sqlite:////absolute/path"


@dataclass(frozen=True, slots=True)
class Location:
    """The files of one store, by absolute paths.

    Attributes:
        root: what the URL names: a directory, or a database file.
        database: the file of the objects' records.
        ledger: the file of the ledger's records: a file of its own, so that writing facts of tasks does not
            invalidate what readers have cached of objects.
        blobs: the directory of the blobs.
    """

    root: Path
    database: Path
    ledger: Path
    blobs: Path

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the location that ``url`` names; a relative path is taken from the working directory of now.

        Raises:
            StoreUnavailable: it is not the URL of a SQLite store.
        """
        scheme, _, rest = url.partition("://")
        if scheme.lower() != "sqlite" or not rest.startswith("/"):
            raise StoreUnavailable(f"{url!r} is not the URL of a SQLite store: {_FORMS} (three or four slashes)")
        path = rest[1:]
        if not path or path == ":memory:" or "\0" in path:
            raise StoreUnavailable(f"{url!r} names no directory that processes could share: {_FORMS}")
        root = Path(os.path.abspath(os.path.expanduser(path)))
        if root.name.endswith(_FILE_ENDINGS):
            return cls(root, root, root.with_name(root.name + ".ledger"), root.with_name(root.name + ".blobs"))
        return cls(root, root / "omruntime.db", root / "ledger.db", root / "blobs")

    @property
    def url(self) -> str:
        """The URL that another process of this machine can open the store with."""
        return f"sqlite:///{self.root}"

    @property
    def is_file(self) -> bool:
        """True when the URL names the database file and not a directory."""
        return self.root == self.database

    def check(self) -> None:
        """Refuse a place where no store can be.

        Raises:
            StoreUnavailable: a directory in a file's place or the other way round, or a network file system.
        """
        if self.is_file and self.root.is_dir():
            raise StoreUnavailable(
                f"{self.root} is a directory, but a path that ends in .db or .sqlite names a file; "
                "give another name, or the directory without that ending"
            )
        if not self.is_file and self.root.exists() and not self.root.is_dir():
            raise StoreUnavailable(
                f"{self.root} is a file, but the URL names a directory; a store in one file ends in .db or .sqlite"
            )
        if self.database.is_dir() or self.ledger.is_dir() or (self.blobs.exists() and not self.blobs.is_dir()):
            raise StoreUnavailable(f"{self.root} is no omruntime store: a file and a directory changed places")
        network = network_file_system(self.root)
        if network:
            raise StoreUnavailable(
                f"{self.root} is on a network file system ({network}), and a SQLite store belongs to one machine: "
                "processes on two machines would destroy it; use a local disk"
            )

    def make_directories(self) -> None:
        """Make the directories of the store.

        Raises:
            StoreUnavailable: the place cannot be written.
        """
        try:
            self.blobs.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise StoreUnavailable(
                f"cannot make the store {self.root}: {exc.strerror}; give a place that this user can write"
            ) from exc
