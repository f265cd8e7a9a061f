"""A MongoDB for tests: the one that ``OMRUNTIME_TEST_MONGODB_URL`` names, else a FerretDB of the test's own.

    with mongodb_server() as server:
        om = Omega(server.url("first"))

On a server that is there already the databases have a name that nobody else uses, and are dropped at the end. One of
our own runs on a free port of 127.0.0.1 in its own directory, and can be killed and started again.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from omruntime_conformance.ferretdb import FERRETDB, ferretdb_program
from omruntime_conformance.harness import NotExercised

__all__ = ["VARIABLE", "MongoServer", "mongodb_server", "mongodb_versions"]

VARIABLE = "OMRUNTIME_TEST_MONGODB_URL"
"""Environment variable with the URL of a MongoDB for tests, where there is one."""

_START_LIMIT = 60.0
_LOOK = 0.01
_TRIES = 5
_TAIL = 1_000
# Below the ports that systems give to connections, so that none of them has this one when a server is started again.
_PORTS = range(20_000, 32_000)


class MongoServer(ABC):
    """A server that answers, with as many databases as a test asks for."""

    name: str
    """What it is."""
    is_ours: bool = False
    """Whether it was started here, and may be killed."""

    @abstractmethod
    def url(self, database: str, *, user: str = "", password: str = "") -> str:
        """Return the URL of a database of this server, which need not exist.

        Args:
            database: a short name; each makes a database of its own.
            user: log in by this name, and not as the server's own URL does.
            password: of this user.

        Raises:
            NotExercised: this server knows its own users, and this one is none of ours to make.
        """

    @abstractmethod
    def drop(self, database: str) -> None:
        """Remove a database and all that is in it."""

    @abstractmethod
    def kill(self) -> None:
        """Kill the server as a power cut would; its databases stay.

        Raises:
            NotExercised: it is not ours to kill.
        """

    @abstractmethod
    def start(self) -> None:
        """Start the server again at its address, and return when it takes connections."""

    @abstractmethod
    def close(self) -> None:
        """Remove what was made here: the databases, or the whole server."""


@contextmanager
def mongodb_server() -> Iterator[MongoServer]:
    """Give a server for tests for the time of a ``with`` block.

    Raises:
        NotExercised: pymongo is not installed, or there is no server and none can be built.
    """
    if importlib.util.find_spec("pymongo") is None:
        raise NotExercised("pymongo is not installed: pip install 'omruntime[mongo]'")
    given = os.environ.get(VARIABLE, "")
    server = _Given(given) if given else _Own(ferretdb_program())
    try:
        server.start()
        yield server
    finally:
        server.close()


def mongodb_versions() -> dict[str, str]:
    """Return the versions of driver and server that tests run on; of no server where it does not answer."""
    if importlib.util.find_spec("pymongo") is None:
        return {}
    driver = {"pymongo": importlib.metadata.version("pymongo")}
    if not (given := os.environ.get(VARIABLE, "")):
        name, _, number = FERRETDB.partition(" ")
        return driver | {name: number}
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    try:
        with MongoClient[dict[str, object]](given) as client:
            return driver | {"MongoDB": str(client.server_info()["version"])}
    except PyMongoError:
        return driver


class _Given(MongoServer):
    """The server of the variable."""

    def __init__(self, url: str) -> None:
        self.name = f"the server of {VARIABLE}"
        self._parts = urlsplit(url)
        self._prefix = f"omruntime_test_{secrets.token_hex(4)}_"
        self._named: set[str] = set()

    def url(self, database: str, *, user: str = "", password: str = "") -> str:
        if user:
            raise NotExercised(f"{self.name} has users of its own")
        self._named.add(database)
        options = dict(parse_qsl(self._parts.query, keep_blank_values=True))
        own = self._parts.path.strip("/")
        if own and self._parts.username:
            # Without it the user is looked for in the database of the URL, which is another one now.
            options.setdefault("authSource", own)
        return urlunsplit(self._parts._replace(path=f"/{self._prefix}{database}", query=urlencode(options)))

    def drop(self, database: str) -> None:
        _drop(self.url(database), f"{self._prefix}{database}")
        self._named.discard(database)

    def kill(self) -> None:
        raise NotExercised(f"{self.name} is not the suite's to kill")

    def start(self) -> None:
        pass

    def close(self) -> None:
        for database in sorted(self._named):
            self.drop(database)


class _Own(MongoServer):
    """A FerretDB of ours."""

    is_ours = True

    def __init__(self, program: Path) -> None:
        self.name = FERRETDB
        self._program = program
        self._root = Path(tempfile.mkdtemp(prefix="omruntime-mongodb-"))
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, *, user: str = "", password: str = "") -> str:
        # It takes whoever logs in this way, by any name.
        login, how = (f"{quote(user, '')}:{quote(password, '')}@", "?authMechanism=PLAIN") if user else ("", "")
        return f"mongodb://{login}127.0.0.1:{self._port}/{database}{how}"

    def drop(self, database: str) -> None:
        _drop(self.url(database), database)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def start(self) -> None:
        if self._process is not None:
            return
        if self._port:
            self._start(self._port)
            return
        for left in reversed(range(_TRIES)):
            port = _free_port()
            try:
                self._start(port)
            except NotExercised:
                # Somebody else may have taken the port in between.
                if not left:
                    raise
            else:
                self._port = port
                return

    def _start(self, port: int) -> None:
        (self._root / "data").mkdir(exist_ok=True)
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, f"127.0.0.1:{port}", self._root / "data"],
                # It ends when its input does, so that it does not outlive a process that was killed.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_LIMIT
        # One that has ended while somebody answers has found its port taken.
        while not _answers(port) or self._process.poll() is not None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                said = (self._root / "log").read_text(errors="replace").strip()[-_TAIL:]
                raise NotExercised(f"{self.name} does not start on port {port}: {said or 'no word'}")
            time.sleep(_LOOK)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._root, ignore_errors=True)


def _drop(url: str, database: str) -> None:
    from pymongo import MongoClient

    with MongoClient[dict[str, object]](url) as client:
        client.drop_database(database)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at this moment."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
