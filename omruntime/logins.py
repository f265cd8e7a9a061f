"""Logins of stores: a URL is shown and sent without its login, and whoever opens it finds the login again.

A login is what a `mongodb://` URL has for its server alone: user, password, and the options that hold a secret. Where
a store is (hosts, database, all other options) is no secret. A login stays in the processes that need it, in a
register of each, and gets from one to the next by pipes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus

from omruntime.config import STORE_VARIABLE, store_url
from omruntime.errors import StoreUnavailable
from omruntime.masking import MASK, mask

__all__ = ["known", "login_for", "parted", "remember", "same_login", "take", "without_login"]

_SCHEME = re.compile(r"(mongodb(?:\+srv)?)://(.*)", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]\s]+)(?::(\d{1,5}))?")
_DEFAULT_PORT = "27017"
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Which of a mechanism's properties are secret only the mechanism knows; AWS_SESSION_TOKEN is one.
_SECRET_OPTION = re.compile(r"(?:password|passphrase|secret|token)$|^authmechanismproperties$", re.IGNORECASE)
_FORM = (
    "write mongodb://user:password@host:port/database?option=value, and in user, password and values %XX for "
    "what has a meaning in URLs (/ : @ ? # & ; %), as urllib.parse.quote(text, safe='') does"
)

# By the URL without its login. One assignment is all that ever happens to it, so it needs no lock, which a fork
# in another thread would leave locked in the child for good.
_register: dict[str, str] = {}


class _Parts(NamedTuple):
    scheme: str
    login: str
    hosts: tuple[str, ...]
    database: str
    options: tuple[tuple[str, str], ...]

    @property
    def secrets(self) -> bool:
        """Whether there is a login."""
        return bool(self.login) or any(_SECRET_OPTION.search(unquote_plus(name)) for name, _ in self.options)


def without_login(url: str) -> str:
    """Return the URL without user, password and secret options, spelled in one way; other schemes' URLs unchanged.

    Hosts are in lower case, without the default port, and options in the order of their names.

    Raises:
        StoreUnavailable: it is a `mongodb://` URL that cannot be read.
    """
    parts = _parts(url)
    return url if parts is None else _spelled(parts)


def remember(url: str) -> str:
    """Keep the login of a URL, in place of an earlier one of the same store, and return the URL without it.

    A URL without login changes nothing.

    Raises:
        StoreUnavailable: as `without_login`.
    """
    parts = _parts(url)
    if parts is None:
        return url
    if parts.secrets:
        _register[_key(parts)] = url
    return _spelled(parts)


def login_for(url: str) -> str:
    """Return the URL to connect with: as given with its login, else as remembered, else as configured, else as given.

    Raises:
        StoreUnavailable: as `without_login`, of this URL or of the configured one.
    """
    parts = _parts(url)
    if parts is None or parts.secrets:
        return url
    if found := _register.get(key := _key(parts)):
        return found
    configured = _parts(setting := store_url())
    return setting if configured is not None and configured.secrets and _key(configured) == key else url


def same_login(one: str, other: str) -> bool:
    """Tell whether two URLs of one store have the same user, password and secret options.

    Raises:
        StoreUnavailable: as `without_login`.
    """
    return _login(one) == _login(other)


def known(*urls: str) -> dict[str, str]:
    """Return those of these URLs that have a login, or whose login is remembered, with it, by the URL without it.

    It is what a process is told by a pipe that shall open the same stores.

    Raises:
        StoreUnavailable: as `without_login`.
    """
    found: dict[str, str] = {}
    for url in urls:
        if (parts := _parts(url)) is not None:
            full = url if parts.secrets else _register.get(_key(parts))
            found |= {_spelled(parts): full} if full else {}
    return found


def parted(environment: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return an environment for a process without the login of its store, and what that process shall `take`."""
    url = environment.get(STORE_VARIABLE, "")
    try:
        plain, logins = without_login(url), known(url)
    except StoreUnavailable:
        # Whoever uses it is told, and must see no more of it than others.
        plain, logins = _shown(url), {}
    return {**environment, **({STORE_VARIABLE: plain} if url else {})}, logins


def take(logins: Mapping[str, str]) -> None:
    """Remember what another process has handed over: its `known`.

    Raises:
        StoreUnavailable: as `without_login`.
    """
    for url in logins.values():
        remember(url)


def _parts(url: str) -> _Parts | None:
    match = _SCHEME.fullmatch(url)
    if match is None:
        return None
    place, _, query = match.group(2).partition("?")
    authority, _, database = place.partition("/")
    login, at, hosts = authority.rpartition("@")
    if any("@" in part for part in (login, database, query)):
        raise _unreadable(url, "it has an @ that is not the one before the hosts")
    if at and (not login.partition(":")[0] or login.count(":") > 1):
        raise _unreadable(url, "what is before the @ is not user:password")
    if _STRAY_PERCENT.search(login):
        raise _unreadable(url, "it has a % in front of the @ that begins no %XX")
    pairs = tuple(_option(url, pair) for pair in re.split("[&;]", query) if pair)
    scheme = match.group(1).lower()
    return _Parts(scheme, login, tuple(_host(url, scheme, each) for each in hosts.split(",")), database, pairs)


def _host(url: str, scheme: str, text: str) -> str:
    match = _HOST.fullmatch(text)
    if match is None:
        raise _unreadable(url, "its hosts are not host:port,host:port")
    # The path of a socket, which is quoted, is another one in another case.
    host = match.group(1) if "%2f" in text.lower() else match.group(1).lower()
    port = match.group(2)
    return host if port is None or (port == _DEFAULT_PORT and scheme == "mongodb") else f"{host}:{port}"


def _option(url: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise _unreadable(url, "its options are not name=value&name=value")
    return name, value


def _login(url: str) -> tuple[str, ...]:
    parts = _parts(url)
    if parts is None:
        return ()
    words = [
        unquote_plus(value) for name, value in sorted(parts.options) if _SECRET_OPTION.search(unquote_plus(name))
    ]
    return (*map(unquote_plus, parts.login.split(":")), *words)


def _spelled(parts: _Parts) -> str:
    shown = (pair for pair in parts.options if not _SECRET_OPTION.search(unquote_plus(pair[0])))
    # Values of the same name are in an order of preference.
    query = "&".join("=".join(pair) for pair in sorted(shown, key=lambda pair: pair[0].lower()))
    path = f"/{parts.database}" if parts.database or query else ""
    return f"{parts.scheme}://{','.join(parts.hosts)}{path}" + (f"?{query}" if query else "")


def _key(parts: _Parts) -> str:
    """Spell it so that it is equal for what is one store to a driver, where people want to read what they wrote."""
    options = tuple((name.lower(), value) for name, value in parts.options)
    return _spelled(parts._replace(hosts=tuple(sorted(parts.hosts)), options=options))


def _unreadable(url: str, why: str) -> StoreUnavailable:
    return StoreUnavailable(f"{_shown(url)!r} is not the URL of a store, {why}: {_FORM}")


def _shown(url: str) -> str:
    """Mask a URL that nobody can read, where a password may be anything in front of the last @."""
    scheme, _, rest = url.partition("://")
    _, at, after = rest.rpartition("@")
    return mask(f"{scheme}://{MASK}@{after}" if at else url)
