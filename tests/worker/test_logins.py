"""The login of a store on its way to runners and kernels, and to other processes, on a real MongoDB."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from collections.abc import Iterator

import pytest

from omruntime import Omega, OmegaRuntimeLocal
from omruntime.errors import StoreUnavailable
from omruntime.logins import without_login
from tests.logins import FULL, PASSWORD, environment_has_no_login, store_with_a_password, tasks_reach_it
from tests.worker.gates import echo, value

_RESTORES = """
import pickle, sys
print(pickle.load(sys.stdin.buffer).get(timeout=60)["result"])
"""


@pytest.fixture
def full() -> Iterator[str]:
    with store_with_a_password() as url:
        yield url


@pytest.mark.parametrize("given", [True, False])
def test_that_of_the_environment_goes_past_it(store_url: str, monkeypatch: pytest.MonkeyPatch, given: bool) -> None:
    if not given:
        monkeypatch.setenv("OMRUNTIME_STORE", FULL)
    env = {"OMRUNTIME_STORE": FULL} if given else {}
    with Omega(store_url, OmegaRuntimeLocal(workers=1, env=env)) as om:
        environment_has_no_login(om)


@pytest.mark.mongodb
@pytest.mark.parametrize("configured", [True, False])
def test_tasks_and_notebooks_reach_their_store(
    full: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    configured: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    if configured:
        monkeypatch.setenv("OMRUNTIME_STORE", full)
    with Omega(None if configured else full, OmegaRuntimeLocal(workers=2)) as om:
        tasks_reach_it(om, full, configured=configured)
    assert PASSWORD not in caplog.text
    assert PASSWORD not in str(capfd.readouterr())


@pytest.mark.mongodb
def test_runners_are_told_of_stores_that_come_after_them(store_url: str, full: str) -> None:
    with OmegaRuntimeLocal(workers=1) as runtime, Omega(store_url, runtime) as om:
        om.scripts.put(echo, "echo")
        assert value(om.runtime.script("echo").run(1)) == 1
        with Omega(full, runtime) as later:
            tasks_reach_it(later, full)


@pytest.mark.mongodb
def test_a_handle_is_restored_by_the_configuration_of_the_process_it_gets_to(
    full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restored(handle: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([sys.executable, "-c", _RESTORES], input=handle, capture_output=True, check=False)

    with Omega(full, OmegaRuntimeLocal(workers=1)) as om:
        om.scripts.put(echo, "echo")
        handle = om.runtime.script("echo").run("back")
        assert value(handle) == "back"
        pickled = pickle.dumps(handle)
    assert PASSWORD.encode() not in pickled
    said = restored(pickled)
    assert b"StoreUnavailable" in said.stderr
    assert b"OMRUNTIME_STORE" in said.stderr
    monkeypatch.setenv("OMRUNTIME_STORE", full)
    said = restored(pickled)
    assert (said.stdout, said.returncode) == (b"back\n", 0), said.stderr


@pytest.mark.mongodb
class TestOneLoginAtATime:
    def test_another_one_is_refused_while_it_is_open(self, full: str) -> None:
        other = full.replace(PASSWORD, "an0ther-w0rd")
        with Omega(full) as om, Omega(other) as second, Omega(without_login(full)) as third:
            om.datasets.put(1, "one")
            assert third.datasets.get("one") == 1
            with pytest.raises(StoreUnavailable, match="open in this process with another login") as caught:
                second.datasets.list()
            assert "an0ther-w0rd" not in str(caught.value)
            assert PASSWORD not in str(caught.value)
        with Omega(other) as om:
            assert om.datasets.get("one") == 1

    def test_however_it_is_spelled_it_is_one(self, full: str) -> None:
        with Omega(full) as om, Omega(full.replace("mongodb://a", "mongodb://%61")) as second:
            assert om.store is second.store
