"""demo: it runs, what it proposes to type next works, and what it lacks is named."""

from __future__ import annotations

import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

import omruntime.cli.demo as home
from omruntime.cli.demo.show import next_commands
from omruntime.cli.settings import Settings
from tests.cli.commands import Ran, omruntime, process


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, secluded: None) -> Ran:
    """The one run of the demo."""
    return process("demo", "--store", f"sqlite:///{tmp_path_factory.mktemp('demo')}/store")


def test_the_demo_shows_its_tasks(shown: Ran) -> None:
    assert shown.code == 0, shown.err
    tasks = [line for line in shown.out.splitlines() if " SUCCESS " in line]
    names = [" ".join(line.split()[:2]) for line in tasks]
    for name in ("model.fit cancer", "model.fit digits", "model.predict cancer", "model.score digits"):
        assert name in names
    assert "script.run report" in names
    assert "143 predictions from a fresh process" in shown.out
    assert "FAILURE" not in shown.out


def test_what_it_says_to_type_next_works(shown: Ran, tmp_path: Path) -> None:
    commands = [line.split("  # ")[0].strip() for line in shown.out.splitlines() if "  # " in line]
    assert len(commands) == 5
    for command in commands:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "find_spec", lambda name: None if name == "sklearn" else find_spec(name))
    ran = omruntime("demo")
    assert ran.code == 4
    assert "sklearn" in ran.err
    assert "pip install 'omruntime[all]'" in ran.err


def test_a_password_is_not_shown_and_an_engine_is_named() -> None:
    given = Settings(store="mongodb://ana:secret@db/here", runtime="dask://host:8786", bucket="demo")
    lines = [line for line, _ in next_commands(given, "an-id")]
    assert not any("secret" in line for line in lines)
    assert [line for line in lines if " run " in line] == [line for line in lines if "--runtime dask://" in line]
