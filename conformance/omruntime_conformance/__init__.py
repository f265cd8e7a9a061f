"""Proves, rule by rule and on the real engine, that a backend of omruntime keeps the contract.

An author of an engine writes a `Harness` that starts it, and one class:

    class TestSlurm(RuntimeConformance):
        harness = SlurmHarness

The rules are imported when such a class is made and not before, so that pytest can explain their asserts.
"""

from omruntime_conformance.harness import Cluster, Fault, Harness
from omruntime_conformance.registry import RULES, Rule, load_rules, rule
from omruntime_conformance.suite import KnownFailure, RuntimeConformance

__all__ = ["RULES", "Cluster", "Fault", "Harness", "KnownFailure", "Rule", "RuntimeConformance", "load_rules", "rule"]
