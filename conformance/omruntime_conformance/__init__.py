"""Proves, rule by rule and on the real engine, that a backend of omruntime keeps the contract.

An author of an engine writes a `Harness` that starts it, and one class:

    class TestSlurm(RuntimeConformance):
        harness = SlurmHarness

The rules are imported when such a class is made and not before, so that pytest can explain their asserts. Nothing is
imported before it is asked for, since workers import the tasks of the suite and need none of the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omruntime_conformance.harness import Cluster, Fault, Harness, NotExercised
    from omruntime_conformance.registry import RULES, Rule, load_rules, rule
    from omruntime_conformance.suite import KnownFailure, RuntimeConformance

__all__ = [
    "RULES",
    "Cluster",
    "Fault",
    "Harness",
    "KnownFailure",
    "NotExercised",
    "Rule",
    "RuntimeConformance",
    "load_rules",
    "rule",
]

_HOMES = {
    "harness": ("Cluster", "Fault", "Harness", "NotExercised"),
    "registry": ("RULES", "Rule", "load_rules", "rule"),
    "suite": ("KnownFailure", "RuntimeConformance"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
