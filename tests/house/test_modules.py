"""The shape of modules: what they offer, how long they are, and what they take from each other."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import DISTRIBUTIONS, is_public, modules, tracked

LONGEST = 500
MODULES = modules()
STARTED = ("omruntime_conformance.face", "omruntime_conformance.mutants.preload.sitecustomize")
"""Modules that only a process with the right environment can import; they are started, and offer nothing."""


@pytest.mark.parametrize("name", [name for name in MODULES if is_public(name) and name not in STARTED])
def test_a_public_module_says_what_it_offers(name: str) -> None:
    module = importlib.import_module(name)
    if not hasattr(module, "__all__"):
        assert not _defines(name), f"{name} has no __all__, and defines {_defines(name)}"
        return
    missing = [each for each in module.__all__ if not hasattr(module, each)]
    assert not missing, f"{name}.__all__ promises what is not there: {missing}"


@pytest.mark.parametrize("name", list(MODULES))
def test_a_module_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(_parsed(MODULES[name])), f"{name} has no docstring"


def test_no_module_is_too_long() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in tracked("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize("name", list(MODULES))
def test_nothing_private_of_another_package_is_imported(name: str) -> None:
    home = _package(name, MODULES[name])
    # What a mutant breaks lies inside.
    inside = name.startswith("omruntime_conformance.mutants.")
    taken = [each for each in _imported(_parsed(MODULES[name])) if not inside and not _may_use(home, each)]
    assert not taken, f"{name} uses what is private to another package: {taken}"


@pytest.mark.parametrize(
    ("home", "imported", "allowed"),
    [
        ("omruntime.wire", "omruntime.wire._codec.pack", True),
        ("omruntime.wire.inner", "omruntime.wire._codec", True),
        ("omruntime.wire", "omruntime.ledger._facts", False),
        ("omruntime.wire", "omruntime.ledger.facts._key", False),
        ("omruntime", "omruntime._base", True),
        ("omruntime_conformance", "omruntime._base", False),
        ("omruntime.wire", "omruntime.__version__", True),
        ("omruntime.wire", "collections._abc", True),
    ],
)
def test_private_means_private_to_the_package(home: str, imported: str, allowed: bool) -> None:
    assert _may_use(home, imported) is allowed


def _defines(name: str) -> list[str]:
    """Return the public names that a module defines; rules and mutants are found by their ids and offer no names."""
    if name.startswith(("omruntime_conformance.rules", "omruntime_conformance.mutants")):
        return []
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    body = _parsed(MODULES[name]).body
    return [node.name for node in body if isinstance(node, definitions) and not node.name.startswith("_")]


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _package(name: str, path: Path) -> str:
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{each.name}" for each in node.names)


def _may_use(home: str, imported: str) -> bool:
    """Tell whether a module in the package ``home`` may import a name: private ones only from where it lives."""
    parts = imported.split(".")
    if parts[0] not in DISTRIBUTIONS:
        return True
    private = [i for i, part in enumerate(parts) if part.startswith("_") and not part.startswith("__")]
    owner = ".".join(parts[: private[0]]) if private else ""
    return not private or home == owner or home.startswith(owner + ".") or owner.startswith(home + ".")
