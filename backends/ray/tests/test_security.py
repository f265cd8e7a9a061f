"""Who gets into a Ray: tokens, TLS, and where it listens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from omruntime_ray import OmegaRuntimeRay
from omruntime_ray.secluded import secluded
from omruntime_ray.testing import RayServer
from tests.ray_world import LIMIT, running

from omruntime import Omega

_USES = """
import sys
from omruntime import Omega, virtualobj
from omruntime_ray import OmegaRuntimeRay

@virtualobj
def double(data=None, **kwargs):
    return 2 * data

url, store, pool = sys.argv[1:]
om = Omega(store, OmegaRuntimeRay(url, workers={pool: 1} if pool else None))
om.scripts.put(double, "double")
print(om.runtime.script("double").run(21).get(timeout=60)["result"])
om.close()
"""
_REFUSED = """
import sys
from omruntime.errors import BackendUnavailable
from omruntime_ray import OmegaRuntimeRay

for url in sys.argv[1:]:
    try:
        OmegaRuntimeRay(url)
    except BackendUnavailable as exc:
        print(exc)
"""


def _run(program: str, env: Mapping[str, str], *args: object) -> str:
    """Return what a program prints, which says nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, args)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("token")


@pytest.fixture(scope="module")
def env(place: Path, _without_tokens: None) -> dict[str, str]:
    return secluded(place)


@pytest.fixture(scope="module")
def closed(env: dict[str, str]) -> Iterator[RayServer]:
    with running(env) as made:
        yield made


def _listens(processes: Iterable[psutil.Process]) -> set[str]:
    """Return the addresses that processes listen at."""
    return {
        each.laddr.ip.removeprefix("::ffff:")
        for process in processes
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    }


def test_it_listens_on_127_0_0_1_alone(closed: RayServer) -> None:
    mine = [each for each in psutil.process_iter() if str(closed.place) in " ".join(_command(each))]
    assert _listens(mine) == {"127.0.0.1"}


def test_so_does_a_private_one(store_url: str) -> None:
    before = set(psutil.Process().children(recursive=True))
    with Omega(store_url, OmegaRuntimeRay(workers={"default": 1})) as om:
        assert om.runtime.workers()
        assert _listens(set(psutil.Process().children(recursive=True)) - before) == {"127.0.0.1"}


def test_its_token_is_for_its_user_alone(env: dict[str, str]) -> None:
    token = Path(env["RAY_AUTH_TOKEN_PATH"])
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text() not in str(env)


def test_who_has_the_token_gets_in_by_every_way(closed: RayServer, env: dict[str, str], store_url: str) -> None:
    assert _run(_USES, env, f"{closed.url}/tokens", store_url, "default") == "42\n"
    assert _run(_USES, env, f"{closed.client_url}/tokens", store_url, "") == "42\n"


def test_a_worker_of_ours_gets_in_too(closed: RayServer, env: dict[str, str], store_url: str) -> None:
    url = f"{closed.url}/joined"
    command = [sys.executable, "-m", "omruntime", "worker", "--runtime", url, "--store", store_url]
    subprocess.run([sys.executable, "-m", "omruntime", "ls", "--store", store_url], check=True)
    command += ["--concurrency", "1"]
    with subprocess.Popen(command, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stderr is not None
            # What is started is ended by the signal only after it has said so.
            assert any("work for" in line for line in iter(worker.stderr.readline, ""))
            assert _run(_USES, env, url, store_url, "") == "42\n"
        finally:
            worker.terminate()


def test_who_has_none_or_another_is_told_what_to_do(closed: RayServer, env: dict[str, str]) -> None:
    urls = (closed.url, closed.client_url)
    none = _run(_REFUSED, {**env, "RAY_AUTH_MODE": "disabled"}, *urls).splitlines()
    assert [line for line in none if "wants a token, and RAY_AUTH_MODE=token is not set" in line] == none
    lost = _run(_REFUSED, {**env, "RAY_AUTH_TOKEN_PATH": "", "HOME": str(closed.place)}, *urls).splitlines()
    assert [line for line in lost if "there is no token" in line] == lost
    other = _run(_REFUSED, {**env, "RAY_AUTH_TOKEN": "ab" * 32}, *urls).splitlines()
    assert [line for line in other if "wants another token" in line] == other
    assert len(none) == len(lost) == len(other) == 2


def test_a_driver_that_looks_for_it_elsewhere_is_told_so(closed: RayServer, env: dict[str, str]) -> None:
    said = _run(_REFUSED, {**env, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}, closed.url)
    assert "set RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 for this program too" in said


def test_the_two_ports_are_not_taken_for_each_other(closed: RayServer, env: dict[str, str]) -> None:
    swapped = [f"ray://{closed.url.partition('://')[2]}", f"ray+gcs://{closed.client_url.partition('://')[2]}"]
    first, second = _run(_REFUSED, env, *swapped).splitlines()
    assert "say ray+gcs://" in first
    assert "say ray://" in second


def _certificate(place: Path, name: str) -> dict[str, str]:
    """Return the environment of a Ray that has a certificate of its own, and trusts no other."""
    key, cert = place / f"{name}.key", place / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ray"]
    alternatives = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *alternatives, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(cert),
        "RAY_TLS_SERVER_KEY": str(key),
        "RAY_TLS_CA_CERT": str(cert),
    }


def test_with_certificates_those_of_the_authority_get_in_and_nobody_else(tmp_path: Path, store_url: str) -> None:
    ours, theirs = _certificate(tmp_path, "ours"), _certificate(tmp_path, "theirs")
    server = RayServer(ours)
    try:
        server.start()
        assert _run(_USES, ours, f"{server.url}/tls", store_url, "default") == "42\n"
        assert _run(_USES, ours, f"{server.client_url}/tls", store_url, "") == "42\n"
        urls = (server.url, server.client_url)
        none = _run(_REFUSED, {**ours, "RAY_USE_TLS": "0"}, *urls).splitlines()
        assert [line for line in none if "or has TLS (then set RAY_USE_TLS=1 here too)" in line] == none
        lost = _run(_REFUSED, {**ours, "RAY_TLS_CA_CERT": str(tmp_path / "lost")}, *urls).splitlines()
        assert [line for line in lost if "its certificates cannot be used" in line] == lost
        assert len(none) == len(lost) == 2
        # Of a handshake that fails gRPC itself writes a line.
        other = _run(_REFUSED, {**theirs, "GRPC_VERBOSITY": "NONE"}, *urls).splitlines()
        assert [line for line in other if "certificates of one authority" in line] == other
        assert len(other) == 2
    finally:
        server.close()


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
