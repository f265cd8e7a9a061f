"""Script packages: built into wheels without a network, or refused with the reason."""

from __future__ import annotations

import os
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from omruntime.abc import Store
from omruntime.errors import PackageError, SerializationError
from omruntime.store import ObjectStore

RUN = "def run(*args, **kwargs):\n    return args\n"
PYPROJECT = """
    [build-system]
    requires = ["setuptools"]
    build-backend = "setuptools.build_meta"
    [project]
    name = "{name}"
    version = "1.2"
    dependencies = {requires}
"""
OLD = """
    from distutils.core import setup
    setup(name="oldie", version="0.1", packages=["oldie"], package_data={"oldie": ["*.txt"]})
"""


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Write a package and return its directory."""

    def write(name: str, /, requires: str = "[]", **files: str) -> Path:
        root = tmp_path / "packages" / name
        content = {
            "pyproject.toml": PYPROJECT.format(name=name, requires=requires),
            f"{name}/__init__.py": RUN,
            **files,
        }
        for path, text in content.items():
            if text:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(textwrap.dedent(text))
        return root

    return write


def listing(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_package_is_stored_as_a_wheel_and_its_tree_stays(tree: Callable[..., Path], scripts: ObjectStore) -> None:
    root = tree("etl", **{"etl/data.json": "{}", "etl/sub/inner.py": "X = 1"})
    before = listing(root)
    meta = scripts.put(f"pkg://{root}", "etl")
    assert meta.kind == "python.package"
    assert {key: meta.attributes[key] for key in ("module", "package", "version", "requires")} == {
        "module": "etl",
        "package": "etl",
        "version": "1.2",
        "requires": [],
    }
    assert listing(root) == before
    wheel = scripts.get("etl")
    assert isinstance(wheel, Path)
    assert wheel.suffix == ".whl"
    assert "etl/__init__.py" in zipfile.ZipFile(wheel).namelist()
    assert "etl" not in sys.modules
    wheel.write_bytes(b"broken")
    assert scripts.get("etl") == wheel
    assert zipfile.is_zipfile(wheel)


def test_the_hash_is_that_of_the_content(tree: Callable[..., Path], scripts: ObjectStore, store: Store) -> None:
    root = tree("etl")
    first = scripts.put(f"pkg://{root}", "a").attributes["sha256"]
    for path in root.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert scripts.put(f"pkg://{root}", "b").attributes["sha256"] == first
    assert len(list(store.blobs("o-"))) == 1
    (root / "etl/__init__.py").write_text(RUN + "# changed")
    meta = scripts.put(f"pkg://{root}", "a", attributes={"note": 1})
    assert meta.attributes["sha256"] != first
    assert meta.attributes["note"] == 1


def test_paths_are_relative_absolute_or_at_home(
    tree: Callable[..., Path], scripts: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree("etl")
    monkeypatch.chdir(root.parent)
    monkeypatch.setenv("HOME", str(root.parent))
    for written in ("pkg://etl", "pkg://./etl", f"pkg://{root}", "pkg://~/etl"):
        assert scripts.put(written, "etl").attributes["module"] == "etl"
    with pytest.raises(PackageError, match="no package at"):
        scripts.put("pkg://nowhere", "etl")
    (root.parent / "empty").mkdir()
    with pytest.raises(PackageError, match=r"not a directory with a pyproject\.toml"):
        scripts.put("pkg://empty", "etl")


def test_a_setup_py_of_distutils_days_builds(tree: Callable[..., Path], scripts: ObjectStore) -> None:
    root = tree("oldie", **{"pyproject.toml": "", "setup.py": OLD, "oldie/notes.txt": "text"})
    assert scripts.put(f"pkg://{root}", "oldie").attributes["version"] == "0.1"
    assert "oldie/notes.txt" in zipfile.ZipFile(scripts.get("oldie")).namelist()
    assert sorted(each.name for each in root.iterdir()) == ["oldie", "setup.py"]


def test_a_builder_that_fails_is_quoted(tree: Callable[..., Path], scripts: ObjectStore) -> None:
    root = tree("bad", **{"pyproject.toml": "", "setup.py": "raise RuntimeError('the reason is this')"})
    with pytest.raises(PackageError, match=r"does not build.*last lines") as caught:
        scripts.put(f"pkg://{root}", "bad")
    assert "RuntimeError: the reason is this" in caught.value.output
    assert caught.value.output in str(caught.value)
    broken = tree("broken", **{"pyproject.toml": "[project"})
    with pytest.raises(PackageError, match=r"pyproject\.toml of broken cannot be read"):
        scripts.put(f"pkg://{broken}", "broken")
    assert scripts.list() == []


def test_unmet_requirements_are_named_and_markers_are_heeded(tree: Callable[..., Path], scripts: ObjectStore) -> None:
    wanted = (
        """["msgspec>=0.1", "cloudpickle>=99", "omr-no-such", "omr-not-here; python_version<'3'", "x; extra=='y'"]"""
    )
    with pytest.raises(PackageError) as caught:
        scripts.put(f"pkg://{tree('etl', requires=wanted)}", "etl")
    message = str(caught.value)
    assert "omr-no-such" in message
    assert "cloudpickle>=99 (" in message
    assert "msgspec" not in message
    assert "omr-not-here" not in message


def test_the_top_module_is_the_one_named_like_the_script_or_the_only_one(
    tree: Callable[..., Path], scripts: ObjectStore
) -> None:
    several = {
        "setup.py": "from setuptools import setup\nsetup(name='two', packages=['aa', 'b_b'])",
        "pyproject.toml": "",
    }
    root = tree("two", **several, **{"aa/__init__.py": RUN, "b_b/__init__.py": RUN})
    assert scripts.put(f"pkg://{root}", "jobs/aa").attributes["module"] == "aa"
    assert scripts.put(f"pkg://{root}", "b-b").attributes["module"] == "b_b"
    with pytest.raises(PackageError, match=r"several top modules \(aa, b_b\)"):
        scripts.put(f"pkg://{root}", "other")
    none = tree("none", **{"pyproject.toml": "", "setup.py": "from setuptools import setup\nsetup(name='none')"})
    (none / "none/__init__.py").unlink()
    with pytest.raises(PackageError, match="has no module"):
        scripts.put(f"pkg://{none}", "none")
    setup = "from setuptools import setup\nsetup(name='s', py_modules=['flat'])"
    module = tree("single", **{"pyproject.toml": "", "setup.py": setup, "flat.py": RUN})
    assert scripts.put(f"pkg://{module}", "anything").attributes["module"] == "flat"


def test_a_build_tool_that_is_not_installed_is_fetched_in_isolation(
    tree: Callable[..., Path], scripts: ObjectStore
) -> None:
    text = "[build-system]\nrequires = []\nbuild-backend = 'omr_no_backend'\n[project]\nname = 'x'\nversion = '1'\n"
    root = tree("x", **{"pyproject.toml": text})
    with pytest.raises(PackageError, match=r"does not build") as caught:
        scripts.put(f"pkg://{root}", "x")
    assert "omr_no_backend" in str(caught.value)


def test_text_that_is_no_package_is_no_script(scripts: ObjectStore, datasets: ObjectStore) -> None:
    with pytest.raises(SerializationError, match="pkg://path"):
        scripts.put("some/path", "s")
    datasets.put("pkg://some", "d")
    assert datasets.get("d") == "pkg://some"
