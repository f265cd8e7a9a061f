"""Script packages: found while they run, gone afterwards, and never mistaken for one another."""

from __future__ import annotations

import importlib
import json
import os
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from omruntime.errors import PackageError
from omruntime.worker.packages import import_top, package_path, unchanged_process, unpacked


def package(place: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def ran(root: Path, top: str) -> object:
    """Run a package as a runner does, and return what its run() returned."""
    with unchanged_process(modules=True), package_path(root):
        return import_top(top, "script.run test").run()


def state() -> list[object]:
    """What a package may not change for good."""
    return [list(sys.path), os.getcwd(), dict(os.environ), dict(sys.modules)]


def test_two_versions_of_a_package_run_one_after_the_other(tmp_path: Path) -> None:
    old = package(tmp_path / "1", {"etl/__init__.py": "from etl.part import number\ndef run(): return number"})
    (old / "etl/part.py").write_text("number = 1")
    new = package(tmp_path / "2", {"etl/__init__.py": "from etl.part import number\ndef run(): return number"})
    (new / "etl/part.py").write_text("number = 2")
    assert [ran(root, "etl") for root in (old, new, old, new)] == [1, 2, 1, 2]
    assert "etl" not in sys.modules
    assert "etl.part" not in sys.modules


def test_a_package_keeps_its_module_state_between_runs(tmp_path: Path) -> None:
    source = "runs = []\ndef run():\n    runs.append(1)\n    return len(runs)"
    root = package(tmp_path, {"warm.py": source})
    assert [ran(root, "warm") for _ in range(3)] == [1, 2, 3]


def test_a_namesake_of_a_standard_module_is_the_packages_own_while_it_runs(tmp_path: Path) -> None:
    root = package(
        tmp_path,
        {"json/__init__.py": "mine = True", "top.py": "import json\ndef run(): return json.mine"},
    )
    assert ran(root, "top") is True
    assert sys.modules["json"] is json
    assert importlib.import_module("json").loads("[1]") == [1]


def test_a_namespace_package_is_found_and_goes(tmp_path: Path) -> None:
    root = package(
        tmp_path,
        {
            "spread/inner/leaf.py": "value = 5",
            "top.py": "from spread.inner import leaf\ndef run(): return leaf.value",
        },
    )
    assert ran(root, "top") == 5
    assert not [name for name in sys.modules if name.startswith("spread")]


def test_data_files_lie_beside_their_modules(tmp_path: Path) -> None:
    source = (
        "from importlib import resources\nfrom pathlib import Path\n"
        "def run(): return [resources.files('pack').joinpath('data/a.txt').read_text(),"
        " (Path(__file__).parent / 'data/a.txt').read_text()]"
    )
    root = package(tmp_path, {"pack/__init__.py": source, "pack/data/a.txt": "content"})
    assert ran(root, "pack") == ["content", "content"]


@pytest.mark.parametrize(
    "deed",
    [
        "os.chdir('/')",
        "sys.path.insert(0, '/elsewhere'); sys.path.append('/elsewhere too')",
        "sys.path.clear()",
        "sys.path = []",
        "os.environ['PLANTED'] = '1'; os.environ.pop('HOME')",
        "sys.modules['planted'] = type(sys)('planted')",
        "sys.modules['json'] = type(sys)('json')",
        "sys.modules.pop('json')",
        "sys.modules[__name__] = type('Own', (), {'run': staticmethod(run)})",
        "import os as o; o.makedirs('gone'); o.chdir('gone'); o.rmdir(o.getcwd())",
    ],
)
@pytest.mark.parametrize("when", ["imported", "run"])
def test_what_a_package_does_to_the_process_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deed: str, when: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    source = f"import os, sys\ndef run(): {deed if when == 'run' else 'pass'}\n" + (deed if when != "run" else "")
    before = state()
    ran(package(tmp_path / "root", {"deeds.py": source}), "deeds")
    assert state() == before


def test_a_failing_package_leaves_nothing_either(tmp_path: Path) -> None:
    root = package(tmp_path, {"broken.py": "import sys\nsys.path.append('/x')\nraise RuntimeError('at import')"})
    path = list(sys.path)
    with pytest.raises(PackageError, match=r"script\.run test cannot be imported.*RuntimeError: at import"):
        ran(root, "broken")
    assert sys.path == path
    assert "broken" not in sys.modules


@pytest.mark.parametrize("source", ["", "run = 5"])
def test_a_package_without_run_says_what_to_add(tmp_path: Path, source: str) -> None:
    with pytest.raises(PackageError, match="has no function run"):
        ran(package(tmp_path, {"empty.py": source}), "empty")


def wheel(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pack/__init__.py", "def run(): return 1")
    return path


def test_a_wheel_is_unpacked_once_by_whoever_is_first(tmp_path: Path) -> None:
    fetched = []

    def fetch() -> Path:
        fetched.append(1)
        return wheel(tmp_path / f"{len(fetched)}.whl")

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(lambda _: unpacked("digest", scratch, fetch), range(8)))
    assert places == {scratch / "packages" / "digest"}
    assert (scratch / "packages/digest/pack/__init__.py").exists()
    before = len(fetched)
    unpacked("digest", scratch, fetch)
    assert len(fetched) == before


def test_a_wheel_cannot_write_outside_its_directory(tmp_path: Path) -> None:
    evil = tmp_path / "evil.whl"
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("../../../escaped.py", "")
    scratch = tmp_path / "a/b/scratch"
    scratch.mkdir(parents=True)
    root = unpacked("digest", scratch, lambda: evil)
    assert [each for each in tmp_path.rglob("escaped.py") if root not in each.parents] == []


def test_a_wheel_that_is_none_leaves_no_package(tmp_path: Path) -> None:
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"no archive")
    with pytest.raises(zipfile.BadZipFile):
        unpacked("digest", tmp_path, lambda: broken)
    assert not (tmp_path / "packages/digest").exists()
