"""The private Celery: it ends with its client, however that ends, and nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omruntime_celery import OmegaRuntimeCelery
from tests.world import LIMIT, eventually

from omruntime import Omega, virtualobj
from tests.logins import FULL, environment_has_no_login, store_with_a_password, tasks_reach_it

_CLIENT = """
import sys
from omruntime import Omega
from omruntime_celery import OmegaRuntimeCelery

om = Omega(sys.argv[1], OmegaRuntimeCelery(workers=1))
om.runtime.ping(timeout=60)
print("there", flush=True)
sys.stdin.read()
"""


@virtualobj
def echo(data: Any = None, **kwargs: Any) -> Any:
    return data


def _family(pid: int) -> set[int]:
    """Return the processes that a process has started, and those that they have."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, table.splitlines())}
    found, before = {pid}, 0
    while len(found) > before:
        before = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}


def _there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_client_takes_all_of_it_along(tmp_path: Path, store_url: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-c", _CLIENT, store_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"there\n"
        family = _family(client.pid)
        assert len(family) >= 3, "a Redis, a worker and its runner"
        assert list(tmp_path.iterdir())
        os.kill(client.pid, signal.SIGKILL)
    eventually(lambda: not any(map(_there, family)), "the end of all its processes")
    eventually(lambda: not [each for each in tmp_path.iterdir() if "redis" in each.name], "the end of its directory")


def test_closing_does_what_was_sent_first(store_url: str) -> None:
    with Omega(store_url, OmegaRuntimeCelery(workers=1)) as om:
        om.scripts.put(echo, "echo")
        results = [om.runtime.script("echo").run(number) for number in range(200)]
    with Omega(store_url) as om:
        found = [om.runtime.result(each.id) for each in results]
        assert [each.get(timeout=LIMIT)["result"] for each in found] == list(range(200))


def test_two_of_them_do_not_meet(store_url: str) -> None:
    with (
        Omega(store_url, OmegaRuntimeCelery(workers=1)) as om,
        Omega(store_url, OmegaRuntimeCelery(workers=1)) as two,
    ):
        om.scripts.put(echo, "echo")
        assert om.runtime.script("echo").run(1).get(timeout=LIMIT)["result"] == 1
        assert two.runtime.script("echo").run(2).get(timeout=LIMIT)["result"] == 2
        assert set(om.runtime.labels()).isdisjoint(two.runtime.labels())
        om.close()
        assert two.runtime.script("echo").run(3).get(timeout=LIMIT)["result"] == 3


@pytest.mark.parametrize("given", [True, False])
def test_the_login_of_a_store_goes_to_it_past_the_environment(
    store_url: str, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    if not given:
        monkeypatch.setenv("OMRUNTIME_STORE", FULL)
    env = {"OMRUNTIME_STORE": FULL} if given else {}
    with Omega(store_url, OmegaRuntimeCelery(workers=1, env=env)) as om:
        environment_has_no_login(om)


@pytest.mark.mongodb
def test_tasks_and_notebooks_reach_a_store_with_a_login() -> None:
    with store_with_a_password() as url, Omega(url, OmegaRuntimeCelery(workers=2)) as om:
        tasks_reach_it(om, url)
