"""The stores that tests of the interface run on; another one joins by a line in `STORES`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from omruntime_conformance import NotExercised
from omruntime_conformance.mongodb import MongoServer, mongodb_server

__all__ = ["PACE", "STORES", "MakeUrl", "Server", "real_mongodb"]

Server: TypeAlias = MongoServer | NotExercised
"""The MongoDB of a session of tests, or why there is none."""
MakeUrl: TypeAlias = Callable[[str], str]
"""Returns the URL of a store that does not exist yet, and of the same one for the same name."""

# Tests have a home of their own, in which the server would be built anew each time.
_HOME = {name: os.environ.get(name) for name in ("HOME", "XDG_CACHE_HOME")}


@contextmanager
def real_mongodb() -> Iterator[Server]:
    """Give the server for a session of tests, built in the cache of who runs them."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in _HOME.items():
                patch.delenv(name, raising=False)
                if value is not None:
                    patch.setenv(name, value)
            try:
                server: Server = stack.enter_context(mongodb_server())
            except NotExercised as exc:
                server = exc
        yield server


@contextmanager
def _sqlite(place: Path, _server: Server) -> Iterator[MakeUrl]:
    yield lambda name: f"sqlite:///{place}/{name}"


@contextmanager
def _mongodb(_place: Path, server: Server) -> Iterator[MakeUrl]:
    if isinstance(server, NotExercised):
        pytest.skip(f"not exercised: {server}")
    own = secrets.token_hex(4)
    made: set[str] = set()

    def make(name: str) -> str:
        made.add(name)
        return server.url(f"{name}_{own}")

    try:
        yield make
    finally:
        for name in made:
            server.drop(f"{name}_{own}")


STORES: dict[str, Callable[[Path, Server], AbstractContextManager[MakeUrl]]] = {
    "sqlite": _sqlite,
    "mongodb": _mongodb,
}
"""By name, what gives stores of a kind to a test, whose own directory it is told, and removes them afterwards."""

PACE = {"mongodb": 0.2}
"""Share of the rounds that tests make which make many, on stores whose server for tests takes long for each."""
