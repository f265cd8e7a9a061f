"""What is in the tree: nothing of any one machine, no secret; fragments and README that tools can read."""

from __future__ import annotations

import re
import shlex
import tomllib
from itertools import chain

import pytest
from packaging.requirements import Requirement

from tests.house.tree import DISTRIBUTIONS, ROOT, tracked

# Put together here, or this file would find itself.
FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"(?<![\w.])/" + r"(?:work|home/\w+|Users/\w+|root)/[\w.]"),
    "the address of a package registry": re.compile(
        r"\b(?:pypi\."
        + r"org|pythonhosted\."
        + r"org|index-"
        + r"url|registry\.npmjs\."
        + r"org|proxy\.golang\."
        + r"org)"
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE " + r"KEY"),
    "a token": re.compile(
        r"\b(?:AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}|xox[bp]-[A-Za-z0-9-]{20,}|pypi-AgEI[\w-]{20,})"
    ),
}
FRAGMENT = re.compile(r"\+[a-z0-9][a-z0-9-]*\.(?P<type>[a-z]+)\.md")
PIN = re.compile(r"[A-Za-z0-9][\w.-]*==[\w.!+]+")


@pytest.mark.parametrize("what", list(FORBIDDEN))
def test_nothing_of_one_machine_and_no_secret_is_kept(what: str) -> None:
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in FORBIDDEN[what].finditer(text)]
    assert not found, f"{what}: {found}"


def test_the_readme_begins_with_two_commands_that_stand_alone() -> None:
    commands = [line[2:] for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("$ ")][:2]
    assert len(commands) == 2
    for command in commands:
        words = shlex.split(command)
        assert words[:4] == ["python3", "-m", "venv", ".venv"], "a command makes the environment that it uses"
        assert words.count(".venv/bin/pip") == 1, "one call of pip installs everything"
        assert "constraints.txt" in words
        assert not {"cd", "source", "export", "sudo"}.intersection(words)
        assert "~" not in command
        assert "$" not in command
    assert commands[0].split()[-2:] == [".venv/bin/omruntime", "demo"]
    assert "nox" in commands[1]


def test_constraints_are_versions_and_nothing_else() -> None:
    pins = _lines("constraints.txt")
    assert [line for line in pins if not PIN.fullmatch(line)] == []
    assert len(pins) > 50


def test_every_tool_by_name_is_pinned() -> None:
    pinned = {_normal(Requirement(pin).name) for pin in _lines("constraints.txt")}
    asked = _lines("requirements-dev.txt")
    for base in DISTRIBUTIONS.values():
        project = tomllib.loads((base / "pyproject.toml").read_text())["project"]
        asked += chain(project["dependencies"], *project.get("optional-dependencies", {}).values())
    assert {_normal(Requirement(each).name) for each in asked} - pinned == {"omruntime", "omruntime-conformance"}


def test_fragments_of_the_changelog_have_a_form() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    types = {each["directory"] for each in config["type"]}
    for path in tracked("changelog.d"):
        if path.name == "README.md":
            continue
        match = FRAGMENT.fullmatch(path.name)
        assert match is not None, f"{path.name}: see changelog.d/README.md for the form"
        assert match["type"] in types, f"{path.name}: the type is none of {sorted(types)}"
        assert path.read_text().strip(), f"{path.name} is empty"
        assert not path.read_text().lstrip().startswith(("-", "*")), f"{path.name}: no list mark"


def test_every_decision_note_is_listed_in_order() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^- \[(\d{4}): .+\]\((\d{4}-[a-z0-9-]+\.md)\)$", (folder / "README.md").read_text(), re.MULTILINE
    )
    assert [name for _, name in listed] == [path.name for path in tracked("docs/decisions/0*.md")]
    for number, name in listed:
        assert name.startswith(number)
        assert (folder / name).read_text().startswith(f"# {number}: "), f"{name}: the title begins with the number"


def _lines(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
