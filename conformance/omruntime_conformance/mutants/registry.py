"""Mutants: registered functions that wrap something of omruntime, and whose docstring says what they make of it."""

from __future__ import annotations

import importlib
import inspect
import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import wrapt

__all__ = [
    "MUTANTS",
    "VARIABLE",
    "Mutant",
    "Patch",
    "Wrapper",
    "infect",
    "load_mutants",
    "missing_targets",
    "mutant",
    "mutant_env",
]

VARIABLE = "OMRUNTIME_CONFORMANCE_MUTANT"
"""Environment variable with the mutant that a process is to be."""
PRELOAD = Path(__file__).with_name("preload")
"""Directory whose start-up module infects a process."""
AREAS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "RES": ("results",),
        "ERR": ("errors",),
        "MOD": ("models",),
        "SCR": ("scripts",),
        "JOB": ("jobs",),
        "LBL": ("labels",),
        "CAN": ("canvas", "canvas_values", "canvas_failures"),
        "DAT": ("data",),
        "CXL": ("limits",),
        "FLT": ("faults",),
        "SEC": ("security",),
        "LIF": ("lifecycle",),
        "PLG": ("plugins",),
        "LAW": ("laws",),
    }
)
"""Modules of the mutants for the rules of an area."""

Wrapper: TypeAlias = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]
"""What takes the place of a function: of the original, the instance it is bound to, and the arguments of a call."""
Change: TypeAlias = Callable[[Any], None]
"""What changes a module that has just been imported."""


class Patch:
    """Changes omruntime in this process; a module that is not imported yet is changed as soon as it is."""

    def __call__(self, target: str) -> Callable[[Wrapper], Wrapper]:
        """Decorate what takes the place of a function, named like ``'omruntime.module:Class.method'``."""
        module, _, path = target.partition(":")

        def decorate(wrapper: Wrapper) -> Wrapper:
            wrapt.register_post_import_hook(lambda found: wrapt.wrap_function_wrapper(found, path, wrapper), module)
            return wrapper

        return decorate

    def module(self, name: str) -> Callable[[Change], Change]:
        """Decorate what changes a module, for whatever is no function: a constant, a table."""

        def decorate(change: Change) -> Change:
            wrapt.register_post_import_hook(change, name)
            return change

        return decorate


class _Looking(Patch):
    """Changes nothing, and notes what it was to change."""

    def __init__(self) -> None:
        self.targets: list[str] = []

    def __call__(self, target: str) -> Callable[[Wrapper], Wrapper]:
        """Note the function."""
        self.targets.append(target)
        return lambda wrapper: wrapper

    def module(self, name: str) -> Callable[[Change], Change]:
        """Note the module."""
        self.targets.append(name)
        return lambda change: change


@dataclass(frozen=True, slots=True)
class Mutant:
    """One wrong runtime."""

    rule: str
    """Id of the rule that has to notice."""
    name: str
    """Name of the function that makes it."""
    sentence: str
    """What is wrong with it."""
    apply: Callable[[Patch], None]

    def __str__(self) -> str:
        return f"{self.rule}-{self.name}"


_MUTANTS: dict[str, Mutant] = {}
MUTANTS: Mapping[str, Mutant] = MappingProxyType(_MUTANTS)
"""All mutants that have been loaded, by rule id and name; `load_mutants` loads all there are."""


def mutant(rule: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a function as a mutant that this rule has to notice; its docstring says what is wrong with it.

    Raises:
        ValueError: there is one of this name for the rule, or no sentence.
    """

    def register(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
        sentence = (inspect.getdoc(apply) or "").partition("\n")[0]
        made = Mutant(rule, apply.__name__, sentence, apply)
        if not sentence.endswith("."):
            raise ValueError(f"{made}: the first line of its docstring must be a sentence that says what is wrong")
        if str(made) in _MUTANTS:
            raise ValueError(f"{made} is there already")
        _MUTANTS[str(made)] = made
        return apply

    return register


def load_mutants(*areas: str) -> Mapping[str, Mutant]:
    """Import the mutants of some areas, or of all, and return what is loaded."""
    for name in itertools.chain.from_iterable(AREAS[area] for area in areas or AREAS):
        importlib.import_module(f"omruntime_conformance.mutants.{name}")
    return MUTANTS


def infect(name: str) -> None:
    """Make this process the mutant of this name; modules that are not imported yet are patched when they are.

    Raises:
        KeyError: there is no such mutant.
    """
    load_mutants(name.partition("-")[0])[name].apply(Patch())


def missing_targets(mutant: Mutant) -> list[str]:
    """Return what a mutant wraps and is not there: it would change nothing, or break by itself."""
    looking = _Looking()
    mutant.apply(looking)
    return [target for target in looking.targets if not _is_there(target)]


def _is_there(target: str) -> bool:
    module, _, path = target.partition(":")
    try:
        found = importlib.import_module(module)
        if path:
            wrapt.resolve_path(found, path)
    except (ImportError, AttributeError):
        return False
    return True


def mutant_env(mutant: Mutant) -> dict[str, str]:
    """Return the environment variables that make a new Python process, and all that it starts, this mutant."""
    path = os.pathsep.join(filter(None, (str(PRELOAD), os.environ.get("PYTHONPATH", ""))))
    return {VARIABLE: str(mutant), "PYTHONPATH": path}
