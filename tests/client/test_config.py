"""Settings: the argument, then the environment, then the project's file, then the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from omruntime import Omega
from omruntime.config import runtime_url, store_url
from omruntime.errors import BackendNotInstalled, OmegaRuntimeError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, and a directory of it that programs are run in."""
    inner = tmp_path / "project" / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    return tmp_path / "project"


def test_each_place_comes_before_the_next_and_paths_are_from_the_files_place(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runtime_url() == "local://"
    assert store_url().startswith("sqlite:////")
    (project / "pyproject.toml").write_text('[tool.omruntime]\nstore = "sqlite:///py"\nruntime = "dask://py"')
    assert (store_url(), runtime_url()) == (f"sqlite:///{project}/py", "dask://py")
    (project / "omruntime.toml").write_text('store = "sqlite:///own"')
    assert (store_url(), runtime_url()) == (f"sqlite:///{project}/own", "dask://py")
    (project / "inner" / "omruntime.toml").write_text('runtime = "ray://nearer"')
    assert (store_url(), runtime_url()) == (f"sqlite:///{project}/own", "ray://nearer")
    monkeypatch.setenv("OMRUNTIME_STORE", "sqlite:///env")
    monkeypatch.setenv("OMRUNTIME_RUNTIME", "dask://env")
    assert (store_url(), runtime_url()) == ("sqlite:///env", "dask://env")
    assert (store_url("sqlite:///given"), runtime_url("ray://given")) == ("sqlite:///given", "ray://given")


@pytest.mark.parametrize("content", [b"store = ", b"\xff\xfe", b"[tool]\nomruntime = 5\n[tool]"])
@pytest.mark.parametrize("name", ["omruntime.toml", "pyproject.toml"])
def test_a_broken_file_is_named(project: Path, content: bytes, name: str) -> None:
    (project / name).write_bytes(content)
    with pytest.raises(OmegaRuntimeError, match=f"{project / name} cannot be read"):
        store_url()


@pytest.mark.parametrize("content", ["", "[project]\nname='x'", "tool = 5", "[tool]\nomruntime = 5", "[tool.other]"])
def test_a_file_that_says_nothing_of_us_changes_nothing(project: Path, content: str) -> None:
    (project / "pyproject.toml").write_text(content)
    (project / "omruntime.toml").mkdir()
    assert runtime_url() == "local://"


def test_an_omega_goes_by_the_projects_file(project: Path) -> None:
    (project / "omruntime.toml").write_text(f'store = "sqlite:///{project}/st"\nruntime = "nonsense://x"')
    with Omega() as om:
        assert om.store.url == f"sqlite:///{project}/st"
        with pytest.raises(BackendNotInstalled, match="nonsense"):
            om.runtime.workers()
