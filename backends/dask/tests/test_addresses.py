"""All the ways to write where the scheduler is, in all the places where it is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client
from omruntime_dask import OmegaRuntimeDask
from omruntime_dask.backend import DaskBackend
from omruntime_dask.names import address_of
from tests.cluster import AUTH, World, echo, eventually, free_port

from omruntime import Omega
from omruntime.errors import BackendNotInstalled, BackendUnavailable
from omruntime.plugins import load_backend_class, scheme_of

SCHEMES = ("dask", "dask+tcp", "http", "tcp")


@pytest.fixture
def filed(tmp_path: Path) -> Iterator[World]:
    """A scheduler that writes where it is into a file, as those of Slurm's users do."""
    made = World(tmp_path)
    try:
        made.start("--scheduler-file", str(tmp_path / "scheduler.json"))
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("scheme", DaskBackend.schemes)
def test_every_scheme_is_an_entry_point_of_this_engine(scheme: str) -> None:
    assert load_backend_class(scheme_of(f"{scheme}://host")) is DaskBackend


def test_another_package_that_claims_one_of_them_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "somebody-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[omruntime.backends]\ntcp = somebody_s_engine\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendNotInstalled, match=r"'tcp' is claimed by 2 packages: omruntime-dask .*, somebody"):
        load_backend_class("tcp")
    assert load_backend_class("dask") is DaskBackend


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_client_by_url(world: World, store_url: str, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{world.port}"
    with Omega(store_url, url, auth=AUTH) as om, OmegaRuntimeDask(url, auth=AUTH) as runtime:
        assert om.runtime.labels() == {}
        assert isinstance(om.runtime, OmegaRuntimeDask)
        assert om.runtime.backend.address == runtime.backend.address == f"dask+{world.tcp}"
        om.runtime = url
        assert om.runtime.labels() == {}
    monkeypatch.setenv("OMRUNTIME_RUNTIME", url)
    with Omega(store_url, auth=AUTH) as om:
        assert om.runtime.labels() == {}
        assert om.runtime.backend.address == f"dask+{world.tcp}"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_worker_and_a_steward_by_url(world: World, om: Omega, scheme: str) -> None:
    world.url = f"{scheme}://127.0.0.1:{world.port}"
    world.worker()
    eventually(om.runtime.labels, "the worker")
    assert om.runtime.script("echo").run(scheme).get(60)["result"] == scheme
    steward = subprocess.run(
        [sys.executable, "-m", "omruntime", "steward", "--once", "--runtime", world.url, "--store", om.store.url],
        env=world.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert steward.returncode == 0, steward.stderr


def test_one_engine_is_one_row(world: World) -> None:
    command = [sys.executable, "-m", "omruntime", "backends"]
    said = subprocess.run(command, env=world.environment(), capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in said.splitlines() if "omruntime-dask" in line] == ["dask"]
    assert "dask, tcp, tls, http" in said


@pytest.mark.parametrize("how", ["omruntime worker", "dask worker"])
def test_the_file_that_a_scheduler_has_written(filed: World, store_url: str, how: str) -> None:
    file = filed.place / "scheduler.json"
    with Omega(store_url, f"dask+file://{file}", auth=AUTH) as om:
        om.scripts.put(echo, "echo")
        if how == "omruntime worker":
            filed.url = f"dask+file://{file}"
            filed.worker()
        else:
            command = ("distributed.cli.dask_worker", "--scheduler-file", str(file), "--no-nanny", "--nthreads", "1")
            filed.run("plain", *command, "--preload", "omruntime_dask.worker")
        eventually(om.runtime.labels, "the worker")
        assert om.runtime.script("echo").run(1).get(60)["result"] == 1
        with (
            Client(scheduler_file=str(file), set_as_default=False) as client,
            OmegaRuntimeDask(client=client, auth=AUTH) as runtime,
        ):
            assert len(runtime.labels()) == 1


@pytest.mark.parametrize("text", [None, "", "{}", '["tcp://host"]'])
def test_a_file_that_no_scheduler_has_written(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "scheduler.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BackendUnavailable, match=r"scheduler\.json.*--scheduler-file"):
        address_of(f"dask+file://{file}")


def test_a_file_of_a_scheduler_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omruntime_dask.connection.PATIENCE", 0.5)
    file = tmp_path / "scheduler.json"
    file.write_text(f'{{"address": "tcp://127.0.0.1:{free_port()}"}}')
    with pytest.raises(BackendUnavailable, match="nobody listens there"):
        OmegaRuntimeDask(f"dask+file://{file}", auth=AUTH)
