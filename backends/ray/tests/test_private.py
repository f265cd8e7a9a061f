from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import ray
from omruntime_ray import OmegaRuntimeRay
from tests.ray_world import client, eventually, program

from omruntime import Omega
from tests.logins import FULL, environment_has_no_login, store_with_a_password, tasks_reach_it

_QUIET = """
import sys
from omruntime import Omega, virtualobj
from omruntime_ray import OmegaRuntimeRay

@virtualobj
def double(data=None, **kwargs):
    print("said by a task")
    return 2 * data

om = Omega(sys.argv[1], OmegaRuntimeRay(workers={"default": 1, "gpu": 1}))
om.scripts.put(double, "double")
print(om.runtime.require("gpu").script("double").run(21).get(timeout=60)["result"])
print(sorted(om.runtime.labels().values()))
om.close()
"""
_KILLED = """
import sys, time
from omruntime import Omega
from omruntime_ray import OmegaRuntimeRay

om = Omega(sys.argv[1], OmegaRuntimeRay(workers=1))
print(om.runtime.workers()[0].pid, flush=True)
sys.stdin.read()
"""


def test_ray_itself_says_nothing_to_whoever_runs_a_program(store_url: str, tmp_path: Path) -> None:
    said = program(_QUIET, store_url, place=tmp_path)
    assert (said.returncode, said.stdout, said.stderr) == (0, "42\n[['default'], ['gpu']]\n", "")


def test_a_program_that_is_killed_leaves_no_process(store_url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLED, store_url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    ) as client:
        assert client.stdout is not None
        runner = int(client.stdout.readline())
        session = subprocess.check_output(["ps", "-o", "ppid=", "-p", str(runner)], text=True).strip()
        client.kill()
    eventually(lambda: not _alive(runner) and not _alive(int(session)), "the end of what it has started")


_INTRUDES = """
import sys
from ray._raylet import GcsClient
try:
    print(GcsClient(address=sys.argv[1]).internal_kv_keys(b"", b"fun", timeout=5))
except Exception as exc:
    print(type(exc).__name__, exc)
"""


def _gcs_of(om: Omega) -> str:
    directory = om.runtime.backend._pool._ray._directory
    table = subprocess.check_output(["ps", "-Aww", "-o", "args="], text=True)
    words = " ".join(line for line in table.splitlines() if directory in line).split()
    (address,) = {word.partition("=")[2] for word in words if word.startswith("--gcs-address=")}
    return address


def test_nobody_else_is_let_in(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with client(store_url, None, {"default": 1}) as om:
        address = _gcs_of(om)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", "guessed" * 8)
        said = program(_INTRUDES, address, place=tmp_path)
        assert said.stdout.startswith("AuthenticationError"), said.stdout
        assert om.runtime.script("echo").run(5).get(timeout=60)["result"] == 5


def test_its_client_is_no_part_of_it(store_url: str) -> None:
    with client(store_url, None, {"default": 1}) as om:
        assert om.runtime.script("echo").run(5).get(timeout=60)["result"] == 5
        assert not ray.is_initialized()


def _alive(pid: int) -> bool:
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(said.strip()) and not said.strip().startswith("Z")


@pytest.mark.parametrize("given", [True, False])
def test_the_login_of_a_store_goes_to_it_past_the_environment(
    store_url: str, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    if not given:
        monkeypatch.setenv("OMRUNTIME_STORE", FULL)
    env = {"OMRUNTIME_STORE": FULL} if given else {}
    with Omega(store_url, OmegaRuntimeRay(workers=1, env=env)) as om:
        environment_has_no_login(om)


@pytest.mark.mongodb
def test_tasks_and_notebooks_reach_a_store_with_a_login() -> None:
    with store_with_a_password() as url, Omega(url, OmegaRuntimeRay(workers=2)) as om:
        tasks_reach_it(om, url)
