"""Where a MongoDB store lives: its URL with and without the login, and its database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

from omruntime.errors import StoreUnavailable
from omruntime.logins import known, login_for, without_login
from omruntime.masking import mask

__all__ = ["Location"]

_FORM = "write mongodb://host/database, or mongodb://user:password@host/database"
_REFUSED = '/\\. "$*<>:|?\0'
_LONGEST = 63
_OF_MONGODB = ("admin", "local", "config")


@dataclass(frozen=True, slots=True)
class Location:
    """One database of one deployment.

    Attributes:
        address: the URL to connect with, its login included.
        url: the URL without it, which may be shown, and with which other processes name the store.
        database: name of the database.
    """

    address: str
    url: str
    database: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the location that ``url`` names, with the login that this process has for it.

        Raises:
            StoreUnavailable: it is not the URL of a database that can be a store.
        """
        shown = without_login(url)
        return cls(login_for(url), shown, _database(shown))

    @property
    def has_login(self) -> bool:
        """Whether there is a user, a password or the like to connect with."""
        return bool(known(self.address))

    def __repr__(self) -> str:
        return f"<Location {self.url}>"


def _database(url: str) -> str:
    """Return the name of the database in a URL without a login.

    Raises:
        StoreUnavailable: there is none, or MongoDB would refuse it.
    """
    path = url.partition("://")[2].partition("?")[0].partition("/")[2]
    name = unquote(path)
    if not name:
        raise StoreUnavailable(f"{mask(url)!r} names no database: {_FORM}")
    wrong = sorted({each for each in name if each in _REFUSED})
    if wrong:
        raise StoreUnavailable(
            f"{mask(url)!r}: MongoDB refuses {name!r} as the name of a database, since it holds "
            f"{', '.join(map(repr, wrong))}; {_FORM}"
        )
    if len(name.encode()) > _LONGEST:
        raise StoreUnavailable(
            f"{mask(url)!r}: the name of a database has at the most {_LONGEST} bytes, this one {len(name.encode())}"
        )
    if name.lower() in _OF_MONGODB:
        raise StoreUnavailable(f"{mask(url)!r}: {name!r} is a database of MongoDB's own; {_FORM}")
    return name
