"""A private scheduler is its client's alone: nobody else speaks to it or its worker, and its key goes with it."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Security
from distributed.comm import connect
from omruntime_dask import OmegaRuntimeDask
from tests.cluster import AUTH, echo, eventually

from omruntime import Omega, virtualobj
from tests.logins import FULL, environment_has_no_login, store_with_a_password, tasks_reach_it


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process and what it starts put temporary files."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return place


@pytest.fixture
def om(store_url: str, temporary: Path) -> Iterator[Omega]:
    with Omega(store_url, OmegaRuntimeDask(workers=1, auth=AUTH), auth=AUTH) as made:
        yield made


def _places(om: Omega) -> list[str]:
    """Return Dask's addresses of the scheduler and the worker."""
    client = om.runtime.backend._engine.client
    return [client.scheduler.address, *client.scheduler_info(n_workers=-1)["workers"]]


async def _identity(address: str, security: Security) -> object:
    comm = await connect(address, timeout=2, **security.get_connection_args("client"))
    try:
        await comm.write({"op": "identity", "reply": True})
        return await comm.read()
    finally:
        comm.abort()


@contextmanager
def _sockets_left() -> Iterator[None]:
    """Collect the sockets of handshakes that have failed, which Dask now and then leaves open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def _is_refused(address: str, security: Security) -> None:
    with pytest.raises(OSError, match=r"."):
        asyncio.run(_identity(address, security))


def test_who_has_no_key_of_it_is_refused_by_scheduler_and_worker(om: Omega) -> None:
    places = _places(om)
    assert len(places) == 2
    theirs = om.runtime.backend._engine.connection.security
    for address in places:
        assert address.startswith("tls://127.0.0.1:")
        assert asyncio.run(_identity(address, theirs))
        with _sockets_left():
            _is_refused(address, Security.temporary())
            _is_refused(address.replace("tls", "tcp"), Security())
    assert om.runtime.ping(timeout=60)


def test_its_http_server_tells_nothing(om: Omega) -> None:
    scheduler = om.runtime.backend._engine.client.scheduler_info()
    port = scheduler["services"]["dashboard"]
    for page in ("", "/info/main/workers.html", "/json/identity.json", "/status", "/metrics"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=10)
        with refused.value as answer:
            assert answer.code == 404


def _key_files(temporary: Path) -> list[Path]:
    return sorted(temporary.glob("omruntime-dask-*/*.pem"))


def test_the_key_is_this_user_s_and_nothing_shows_it(om: Omega, temporary: Path) -> None:
    files = _key_files(temporary)
    assert [each.name for each in files] == ["certificate.pem", "key.pem"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert {stat.S_IMODE(each.parent.stat().st_mode) for each in files} == {0o700}

    @virtualobj
    def environment(data: object = None) -> object:
        import os
        import sys

        return [*os.environ.values(), *sys.argv]

    om.scripts.put(environment, "environment")
    seen = om.runtime.script("environment").run().get(60)["result"]
    started = psutil.Process().children(recursive=True)
    assert len(started) >= 3
    shown = [*seen, *(word for each in started for word in (*each.cmdline(), *each.environ().values()))]
    assert not [word for word in shown if "PRIVATE KEY" in word]
    assert not [word for word in seen if str(files[0].parent) in word]
    assert "PRIVATE" not in repr(om.runtime.backend._engine.connection.security)
    assert str(temporary) not in om.runtime.backend.address


def test_it_goes_with_the_runtime(store_url: str, temporary: Path) -> None:
    with Omega(store_url, OmegaRuntimeDask(workers=1, auth=AUTH), auth=AUTH):
        assert _key_files(temporary)
    assert list(temporary.iterdir()) == []


_OPENS = """
import os, signal, sys
from omruntime_dask import OmegaRuntimeDask
runtime = OmegaRuntimeDask(workers=1)
assert runtime.labels()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_goes_when_the_client_is_killed(temporary: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", _OPENS], check=False, env=dict(os.environ))
    assert ended.returncode < 0
    eventually(lambda: not _key_files(temporary), "that the key is gone")


def test_it_goes_when_it_could_not_be_started(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from omruntime.errors import BackendUnavailable

    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CIPHERS", "NO-SUCH-CIPHER")
    with pytest.raises(BackendUnavailable, match=r"could not be started: (?s:.*)[Cc]ipher"):
        OmegaRuntimeDask(workers=1, auth=AUTH)
    assert list(temporary.iterdir()) == []


def test_a_call_that_is_on_its_way_is_waited_for(store_url: str) -> None:
    with Omega(store_url, OmegaRuntimeDask(workers=1, auth=AUTH), auth=AUTH) as om:
        om.scripts.put(echo, "echo")
        assert om.runtime.script("echo").run(1).get(60)["result"] == 1
        backend: Any = om.runtime.backend
        # As if a graph had just been sent, and the moment were long: close() comes before the call does.
        backend._engine._sending._next = time.monotonic() + 0.5
        late = om.runtime.script("echo").run("late")
    with Omega(store_url, "local://", auth=AUTH) as reader:
        assert reader.runtime.result(late.id).get(0)["result"] == "late"


@pytest.mark.parametrize("url", [None, "dask://"])
def test_certificates_are_for_schedulers_that_are_named(url: str | None) -> None:
    with pytest.raises(TypeError, match=r"tls://host:8786.*keys of its own"):
        OmegaRuntimeDask(url, security=Security())


@pytest.mark.parametrize("given", [True, False])
def test_the_login_of_a_store_goes_to_it_past_the_environment(
    store_url: str, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    if not given:
        monkeypatch.setenv("OMRUNTIME_STORE", FULL)
    env = {"OMRUNTIME_STORE": FULL} if given else {}
    with Omega(store_url, OmegaRuntimeDask(workers=1, env=env)) as om:
        environment_has_no_login(om)


@pytest.mark.mongodb
def test_tasks_and_notebooks_reach_a_store_with_a_login() -> None:
    with store_with_a_password() as url, Omega(url, OmegaRuntimeDask(workers=2)) as om:
        tasks_reach_it(om, url)
