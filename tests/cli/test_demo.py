"""demo: it runs, what it proposes to type next works, and what it lacks is named."""

from __future__ import annotations

import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

import omruntime.cli.demo as home
from omruntime import Omega
from omruntime.cli.demo.show import next_commands
from omruntime.cli.settings import Settings
from tests.cli.commands import Ran, omruntime, process


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, secluded: None) -> str:
    """URL of the store that the demo is run in."""
    return f"sqlite:///{tmp_path_factory.mktemp('demo')}/store"


@pytest.fixture(scope="module")
def shown(place: str) -> Ran:
    """The first run of the demo."""
    return process("demo", "--store", place)


def test_the_demo_shows_its_tasks(shown: Ran) -> None:
    assert shown.code == 0, shown.err
    tasks = [line for line in shown.out.splitlines() if " SUCCESS " in line]
    names = [" ".join(line.split()[:2]) for line in tasks]
    for name in ("model.fit cancer", "model.fit digits", "model.predict cancer", "model.score digits"):
        assert name in names
    assert "143 predictions from a fresh process" in shown.out
    assert "FAILURE" not in shown.out


def test_the_demo_shows_its_canvas_as_a_tree_and_how_far_it_is(shown: Ran) -> None:
    assert "✓ SUCCESS  sequence  canvas" in shown.out
    assert "steps      6: 6 SUCCESS" in shown.out
    assert len(re.findall(r"├── ✓ job.run check SUCCESS [\d.]+ m?s on local@", shown.out)) == 4
    assert re.search(r"└── ✓ script.run report SUCCESS [\d.]+ m?s on local@", shown.out)
    assert "sequence: 6 of 6" in shown.err
    assert "checked 4 digits, a notebook for each: one 43 of 43" in shown.out


def test_what_it_says_to_type_next_works(shown: Ran, tmp_path: Path) -> None:
    commands = [line.split("  # ")[0].strip() for line in shown.out.splitlines() if "  # " in line]
    assert len(commands) == 6
    for command in commands:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout


@pytest.mark.thorough
def test_it_runs_again_in_the_same_store_and_prints_json(shown: Ran, place: str) -> None:
    again = process("demo", "--store", place, "--json")
    assert (again.code, again.err) == (0, "")
    assert {row["status"] for row in again.json} == {"SUCCESS"}
    names = [row["name"] for row in again.json]
    assert names[-6:] == ["model.predict digits", *["job.run check"] * 4, "script.run report"]
    with Omega(place, bucket="demo") as om:
        assert len(om.jobs.metadata("check").attributes["job_runs"]) == 4


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
