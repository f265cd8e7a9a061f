"""Deliberately wrong runtimes: each breaks one promise of `local`, and the rule of that promise has to notice.

A mutant wraps functions of omruntime, by name, in every process that the embedded engine is made of: the client with
its host, the runners, other clients. Nothing of it is loaded unless the environment names a mutant.
"""

from omruntime_conformance.mutants.registry import MUTANTS, Mutant, Patch, load_mutants, mutant

__all__ = ["MUTANTS", "Mutant", "Patch", "load_mutants", "mutant"]
