"""Words and options: suggestions, where options may stand, what help says, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from omruntime import Omega, OmegaModelProxy
from omruntime.cli.run import ACTIONS
from omruntime.cli.words import parsed
from tests.cli.commands import omruntime

MORE = ("jobs", "logs", "cancel", "workers", "labels", "backends", "key", "steward")


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (["statsu"], "'status'"),
        (["ls", "modls"], "'models'"),
        (["put", "dataset", "n", "f.csv"], "'datasets'"),
        (["run", "modle", "m"], "'model'"),
        (["run", "model", "m", "preddict", "x"], "'predict'"),
    ],
)
def test_a_wrong_word_gets_a_suggestion(line: list[str], meant: str) -> None:
    ran = omruntime(*line)
    assert ran.code == 2
    assert f"Did you mean {meant}?" in ran.err
    assert ran.out == ""


def test_wrong_usage_is_an_object_with_json() -> None:
    ran = omruntime("statsu", "--json")
    assert ran.code == 2
    assert ran.json["error"]["type"] == "UsageError"
    assert "status" in ran.json["error"]["message"]
    assert ran.err == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("[1, null]", [1, None]),
        ("true", True),
        ("2026-11-20", "2026-11-20"),
        ("os.getcwd()", "os.getcwd()"),
    ],
)
def test_values_are_json_or_text(text: str, value: object) -> None:
    assert parsed(text) == value


def test_a_parameter_needs_a_name(store: str) -> None:
    ran = omruntime("run", "script", "echo", "-p", "=3")
    assert ran.code == 2
    assert "name=value" in ran.err


@pytest.mark.parametrize(
    "line",
    ["--json --bucket b ls", "ls --json --bucket b", "--bucket a ls --bucket b --json"],
)
def test_options_stand_before_or_after_the_command(line: str, store: str) -> None:
    with Omega(bucket="a") as om:
        om.datasets.put(1, "in-a")
    assert omruntime(*line.split()).json == []


def test_the_actions_are_those_of_the_proxy() -> None:
    assert set(ACTIONS) == {name for name in vars(OmegaModelProxy) if not name.startswith("_")}


def test_help_names_the_commands_and_the_exit_codes() -> None:
    ran = omruntime("--help")
    assert ran.code == 0
    for command in ("demo", "put", "ls", "run", "result", "status", *MORE):
        assert f"\n  {command} " in ran.out
        assert omruntime(command, "--help").code == 0
    for code in (0, 1, 2, 3, 4, 5, 130):
        assert f"\n    {code} " in ran.out


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import json, sys; from omruntime.cli.app import app; from click.testing import CliRunner; "
        "CliRunner().invoke(app, ['--help']); print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(subprocess.check_output([sys.executable, "-c", program], text=True)))
    assert not loaded & {"rich", "numpy", "pandas", "sklearn", "msgspec", "omruntime.client.omega", "omruntime.store"}
