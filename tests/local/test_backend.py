"""The embedded engine as a backend: what it opens, what it refuses, and what its workers are given."""

from __future__ import annotations

import os
from typing import Any

import pytest

from omruntime import Omega, OmegaRuntimeLocal
from omruntime.abc import Backend, Capability
from omruntime.auth import KEY_VARIABLE
from omruntime.local.backend import LocalBackend
from omruntime.plugins import load_backend_class
from tests.worker.conftest import deploy
from tests.worker.gates import run, value


def test_it_is_found_by_its_entry_point_like_any_other() -> None:
    found = load_backend_class("local")
    assert found is LocalBackend
    assert issubclass(found, Backend)
    assert found.capabilities == {Capability.CANCEL_RUNNING, Capability.TIME_LIMIT, Capability.NESTED_WAIT}


@pytest.mark.parametrize("url", ["local://host", "local://host:1", "local:///path"])
def test_it_has_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="has no address"):
        LocalBackend.open(url)


def test_an_unknown_option_is_named() -> None:
    options: dict[str, Any] = {"wokers": 2}
    with pytest.raises(TypeError, match=r"takes no wokers; it takes workers="):
        OmegaRuntimeLocal(**options)


def test_its_workers_are_live_with_their_labels_when_it_is_made() -> None:
    with OmegaRuntimeLocal(workers={"default": 2, "gpu, big": 1}) as runtime:
        workers = runtime.workers()
        assert sorted(each.labels for each in workers) == [("big", "gpu"), ("default",), ("default",)]
        assert len({each.pid for each in workers} | {os.getpid()}) == 4
        assert len({each.name for each in workers}) == 3
        assert all(each.name.startswith("local@") and each.slots == 1 for each in workers)
        assert runtime.labels() == {each.name: list(each.labels) for each in workers}


def test_a_task_runs_where_all_its_labels_are(store_url: str) -> None:
    with deploy(Omega(store_url, OmegaRuntimeLocal(workers={"default": 1, "gpu,big": 1, "gpu": 1}))) as om:
        pids = {each.labels: each.pid for each in om.runtime.workers()}
        where = "import os; answer = os.getpid()"
        assert value(run(om, "shell", where)) == pids["default",]
        assert value(run(om, "shell", where, require={"label": "big"})) == pids["big", "gpu"]
        assert value(run(om, "shell", where, require={"label": "big, gpu"})) == pids["big", "gpu"]


def test_its_workers_get_the_environment_that_was_given_and_no_key(store_url: str) -> None:
    assert KEY_VARIABLE in os.environ
    with deploy(Omega(store_url, OmegaRuntimeLocal(workers=1, env={"FOR_WORKERS": "yes"}))) as om:
        found = value(run(om, "shell", "import os; answer = dict(os.environ)"))
    assert isinstance(found, dict)
    assert found["FOR_WORKERS"] == "yes"
    assert "FOR_WORKERS" not in os.environ
    assert os.environ[KEY_VARIABLE] not in str(found)
