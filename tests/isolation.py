"""Fixtures that keep tests apart from this machine and from each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.leaks import leaked, running

KEY = "a key for tests that protects nothing"


def seclude(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Make ``home`` the home of this process and its children, with the tests' key and no configuration."""
    patch.setenv("HOME", str(home))
    for variable in ("CONFIG", "DATA", "CACHE", "STATE"):
        patch.setenv(f"XDG_{variable}_HOME", str(home / f".{variable.lower()}"))
    patch.setenv("OMRUNTIME_KEY", KEY)
    for variable in ("OMRUNTIME_STORE", "OMRUNTIME_RUNTIME"):
        patch.delenv(variable, raising=False)


@pytest.fixture(scope="session", autouse=True)
def secluded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the home, the configuration or the key of who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        seclude(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture(scope="module", autouse=True)
def _module_leaves_nothing(secluded: None) -> Iterator[None]:
    before = running()
    yield
    _report(leaked(before), "module")


@pytest.fixture(autouse=True)
def _test_leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("shared_workers"):
        yield
        return
    before = running()
    yield
    _report(leaked(before), "test")


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """URL of a store that does not exist yet, in a directory of this test alone."""
    return f"sqlite:///{tmp_path}/store"


def _report(found: list[str], what: str) -> None:
    if found:
        pytest.fail(f"the {what} left running: " + "; ".join(found))
