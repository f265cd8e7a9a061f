"""What users get wrong about a scheduler: each message says what, where, and the next step."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, Security
from omruntime_dask import OmegaRuntimeDask, reach
from omruntime_dask.names import address_of
from tests.cluster import AUTH, World, echo, eventually, free_port

from omruntime import Omega
from omruntime.errors import BackendUnavailable, NoSuchLabelWarning, SignatureError, VersionMismatch


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "PATIENCE", 1.0)
    monkeypatch.setattr("omruntime_dask.connection.PATIENCE", 1.0)


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Have a server do something with whoever connects, and give its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                    answer(taken[-1])
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in taken:
                each.close()


@pytest.mark.parametrize(
    "url",
    [
        "dask://Localhost",
        "http://127.0.0.1:8786/",
        "tcp://localhost:8786",
        "http://127.0.0.1:8786/status",
        "dask+tcp://127.0.0.1",
    ],
)
def test_all_ways_to_write_an_address_are_one(url: str) -> None:
    assert address_of(url) == "tcp://127.0.0.1:8786"


@pytest.mark.parametrize(
    ("url", "there"), [("tls://Host", "tls://host:8786"), ("dask+tls://[::1]:1", "tls://[::1]:1")]
)
def test_addresses_with_tls(url: str, there: str) -> None:
    assert address_of(url) == there


@pytest.mark.parametrize(
    "url", ["tcp://:8786", "tcp://host:port", "tcp://host:0", "dask+udp://host", "host:8786", "tcp://"]
)
def test_an_address_that_cannot_be_read_says_how_it_is_written(url: str) -> None:
    with pytest.raises(BackendUnavailable, match="tcp://host:8786"):
        OmegaRuntimeDask(url, auth=AUTH)


@pytest.mark.usefixtures("impatient")
def test_nobody_there() -> None:
    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1:\d+: nobody listens there .*dask scheduler"):
        OmegaRuntimeDask(f"tcp://127.0.0.1:{free_port()}", auth=AUTH)


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(BackendUnavailable, match=r"name 'nowhere\.invalid' is not known"):
        OmegaRuntimeDask("tcp://nowhere.invalid:8786", auth=AUTH)


@pytest.mark.usefixtures("impatient")
def test_somebody_who_says_nothing_is_not_waited_for() -> None:
    with answering(lambda taken: None) as port, pytest.raises(BackendUnavailable, match="has not answered as one"):
        OmegaRuntimeDask(f"tcp://127.0.0.1:{port}", auth=AUTH)


@pytest.mark.usefixtures("impatient")
def test_a_place_that_takes_no_connection_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as full:
        # A queue that is full lets nobody in: what a firewall that drops looks like.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = int(full.getsockname()[1])
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        with pytest.raises(BackendUnavailable, match=r"nothing has answered|has not answered as one"):
            OmegaRuntimeDask(f"tcp://127.0.0.1:{port}", auth=AUTH)
        for each in waiting:
            each.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("said", [b"-ERR unknown command\r\n" * 8, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 8, b""])
def test_a_program_that_is_no_scheduler(said: bytes) -> None:
    def answer(taken: socket.socket) -> None:
        taken.sendall(said)
        if not said:
            taken.close()

    with answering(answer) as port, pytest.raises(BackendUnavailable, match="check the port"):
        OmegaRuntimeDask(f"tcp://127.0.0.1:{port}", auth=AUTH)


@pytest.mark.usefixtures("impatient")
def test_a_web_server() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(BackendUnavailable, match="check the port"):
            OmegaRuntimeDask(f"http://127.0.0.1:{server.server_port}", auth=AUTH)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_worker_of_dask_is_no_scheduler(world: World) -> None:
    world.dask_worker("--no-nanny", "--nthreads", "1")
    with Client(world.tcp, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)
        (address,) = client.scheduler_info(n_workers=-1)["workers"]
    with pytest.raises(BackendUnavailable, match="dask scheduler"):
        OmegaRuntimeDask(address, auth=AUTH)


def test_a_client_of_the_user_s_is_used_and_left_as_it_was(world: World, store_url: str) -> None:
    with Client(world.tcp, set_as_default=False) as client:
        before = (client.scheduler_comm.interval, client.status)
        theirs = client.submit(int, "7")
        with Omega(store_url, OmegaRuntimeDask(client=client, auth=AUTH), auth=AUTH) as om:
            assert om.runtime.backend.address == f"dask+{world.tcp}"
            world.worker()
            eventually(om.runtime.labels, "the worker")
            om.scripts.put(echo, "echo")
            with om.runtime.parallel() as crt:
                crt.script("echo").run(1)
                assert len(crt.run().get(60)) == 1
            mailbox = om.runtime.backend.mailbox
            assert client.run_on_scheduler(_listeners, topic=mailbox) == 1
            world.dask_worker("--no-nanny", "--nthreads", "1")
            assert theirs.result(60) == 7
        eventually(lambda: list(client.futures) == [theirs.key], "that ours are released")
        eventually(lambda: not client.run_on_scheduler(_listeners, topic=mailbox), "that ours listens no more")
        assert (client.scheduler_comm.interval, client.status) == before
        assert client.scheduler_info()["address"] == world.tcp
        with pytest.raises(TypeError, match="an address or a client"):
            OmegaRuntimeDask(world.url, client=client)
        with pytest.raises(TypeError, match="security"):
            OmegaRuntimeDask(client=client, security=Security())
        with pytest.raises(TypeError, match="omruntime worker"):
            OmegaRuntimeDask(client=client, workers=2)
    with pytest.raises(BackendUnavailable, match="closed"):
        OmegaRuntimeDask(client=client)


def test_a_client_that_the_user_has_closed_is_told_of_and_closing_goes_on(world: World, store_url: str) -> None:
    client = Client(world.tcp, set_as_default=False)
    om = Omega(store_url, OmegaRuntimeDask(client=client, auth=AUTH), auth=AUTH)
    om.scripts.put(echo, "echo")
    with om.runtime.parallel() as crt:
        crt.script("echo").run(1)
        crt.run()
    client.close()
    with pytest.raises(BackendUnavailable, match="make a new one"):
        om.runtime.labels()
    with pytest.raises(BackendUnavailable, match="make a new one"):
        om.runtime.script("echo").run(1)
    om.close()
    om.close()


def _listeners(dask_scheduler: Any, topic: str) -> int:
    topics = dask_scheduler._broker._topics
    return len(topics[topic].subscribers) if topic in topics else 0


def test_what_is_no_client() -> None:
    with pytest.raises(TypeError, match=r"distributed\.Client"):
        OmegaRuntimeDask(client="tcp://127.0.0.1:8786")


async def _asynchronous(world: World) -> None:
    async with Client(world.tcp, asynchronous=True, set_as_default=False) as client:
        with pytest.raises(TypeError, match="asynchronous=True"):
            OmegaRuntimeDask(client=client)


def test_a_client_that_has_to_be_awaited_is_refused(world: World) -> None:
    import asyncio

    asyncio.run(_asynchronous(world))


def test_unknown_options(world: World) -> None:
    with pytest.raises(TypeError, match=r"takes no speed; it takes security= or client="):
        OmegaRuntimeDask(world.url, speed=2)
    with pytest.raises(TypeError, match="security"):
        OmegaRuntimeDask(world.url, security="yes")
    with pytest.raises(TypeError, match="omruntime worker"):
        OmegaRuntimeDask(world.url, workers=2)


def test_a_cluster_with_no_worker_of_ours_says_how_to_start_one(world: World, om: Omega) -> None:
    waits = om.runtime.script("echo").run(5)
    with pytest.warns(NoSuchLabelWarning, match="waits for a worker of label 'default'"), pytest.raises(TimeoutError):
        waits.get(timeout=3)
    said = subprocess.run(
        [sys.executable, "-m", "omruntime", "workers", "--runtime", world.url, "--store", om.store.url],
        env=world.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"no worker answers at {world.url}; 'omruntime worker --runtime URL" in said.stdout + said.stderr


def test_another_key_is_refused_and_told_and_the_worker_lives(world: World, om: Omega) -> None:
    world.worker(OMRUNTIME_KEY="another key, which the client does not have, at all")
    eventually(om.runtime.labels, "the worker")
    with pytest.raises(SignatureError):
        om.runtime.script("echo").run(5).get(60)
    assert om.runtime.labels()


def test_a_scheduler_that_refuses_this_version(
    impatient: None, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    real = Client._ensure_connected

    async def refused(self: Client, **limits: float) -> None:
        await real(self, **limits)
        raise ImportError("Mismatched versions found: msgpack")

    monkeypatch.setattr(Client, "_ensure_connected", refused)
    with pytest.raises(VersionMismatch, match="same version of distributed on both sides"):
        OmegaRuntimeDask(world.url, auth=AUTH)


def test_a_scheduler_of_another_version(world: World, tmp_path: Path) -> None:
    world.kill_scheduler()
    (tmp_path / "old.py").write_text(
        "def dask_setup(scheduler):\n    scheduler.handlers['identity'] = lambda: {'type': 'Scheduler'}\n"
    )
    world.start("--preload", str(tmp_path / "old.py"))
    with pytest.raises(VersionMismatch, match=r"has distributed \S+, which .* same version .* on both sides"):
        OmegaRuntimeDask(world.url, auth=AUTH)


class TestTls:
    """Certificates that openssl has made, of two authorities."""

    @pytest.fixture
    def made(self, tmp_path: Path) -> Callable[[str], Security]:
        def certificates(name: str) -> Security:
            key, cert = tmp_path / f"{name}.key", tmp_path / f"{name}.pem"
            command = [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ]
            names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
            subprocess.run([*command, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
            where = str(cert)
            return Security(
                tls_ca_file=where, tls_client_cert=where, tls_client_key=str(key), require_encryption=True
            )

        return certificates

    @pytest.fixture
    def secure(self, tmp_path: Path, made: Callable[[str], Security]) -> Iterator[tuple[World, Security]]:
        security, world = made("ours"), World(tmp_path)
        cert, key = str(tmp_path / "ours.pem"), str(tmp_path / "ours.key")
        options = ["--protocol", "tls", "--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key]
        try:
            world.start(*options)
            yield world, security
        finally:
            world.close()

    def test_with_certificates(self, secure: tuple[World, Security], store_url: str, tmp_path: Path) -> None:
        world, security = secure
        url = f"tls://localhost:{world.port}"
        with Omega(store_url, OmegaRuntimeDask(url, security=security, auth=AUTH), auth=AUTH) as om:
            where = {
                "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(tmp_path / "ours.pem"),
                "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": str(tmp_path / "ours.pem"),
                "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": str(tmp_path / "ours.key"),
                "DASK_DISTRIBUTED__COMM__TLS__WORKER__CERT": str(tmp_path / "ours.pem"),
                "DASK_DISTRIBUTED__COMM__TLS__WORKER__KEY": str(tmp_path / "ours.key"),
            }
            world.url = f"dask+tls://127.0.0.1:{world.port}"
            world.worker("default", 1, **where)
            eventually(om.runtime.labels, "the worker")
            assert om.runtime.ping(timeout=60)["message"]
            assert om.runtime.backend.address == f"dask+tls://127.0.0.1:{world.port}"

    @pytest.mark.usefixtures("impatient")
    def test_refusals(self, secure: tuple[World, Security], made: Callable[[str], Security]) -> None:
        world, security = secure
        there = f"127.0.0.1:{world.port}"
        with pytest.raises(BackendUnavailable, match="if it has TLS, say tls://"):
            OmegaRuntimeDask(f"tcp://{there}", auth=AUTH)
        with pytest.raises(BackendUnavailable, match=r"TLS.*tls_ca_file="):
            OmegaRuntimeDask(f"tls://{there}", auth=AUTH)
        with pytest.raises(BackendUnavailable, match=r"TLS.*tls_ca_file="):
            OmegaRuntimeDask(f"tls://{there}", security=made("theirs"), auth=AUTH)
        with pytest.raises(BackendUnavailable, match="TLS"):
            OmegaRuntimeDask(f"tcp://{there}", security=security, auth=AUTH)

    @pytest.mark.usefixtures("impatient")
    def test_tls_to_a_scheduler_without(self, world: World, made: Callable[[str], Security]) -> None:
        with pytest.raises(BackendUnavailable, match="TLS"):
            OmegaRuntimeDask(f"tls://127.0.0.1:{world.port}", security=made("ours"), auth=AUTH)


def test_it_does_not_take_long(impatient: None) -> None:
    begun = time.monotonic()
    with pytest.raises(BackendUnavailable):
        OmegaRuntimeDask(f"tcp://127.0.0.1:{free_port()}", auth=AUTH)
    assert time.monotonic() - begun < reach.PATIENCE * 30
