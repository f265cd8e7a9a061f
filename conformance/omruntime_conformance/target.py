"""What the command is told to run: a URL of an engine, or the name of an author's harness or class of rules."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omruntime.plugins import load_backend_class, scheme_of
from omruntime_conformance.clusters import has_address
from omruntime_conformance.harness import Harness
from omruntime_conformance.suite import RuntimeConformance

__all__ = ["TARGET", "TargetError", "class_of"]

TARGET = "OMRUNTIME_CONFORMANCE_TARGET"
"""Environment variable with the target of a job."""


class TargetError(ValueError):
    """What was to be run is not there; the message says what to give instead."""


def class_of(target: str) -> type[RuntimeConformance]:
    """Return the class of rules for a target: ``dask://host:8786``, or ``package.testing:SlurmHarness``.

    Raises:
        TargetError: the module cannot be imported, or has no such harness.
        BackendNotInstalled: no installed package provides the engine, or it cannot be imported.
        VersionMismatch: the engine is written for another version of the interface.
    """
    if "://" in target:
        return _class_for(_harness_of(target))
    found = _imported(target)
    if isinstance(found, type) and issubclass(found, RuntimeConformance) and found is not RuntimeConformance:
        load_backend_class(found.harness.backend)
        return found
    if isinstance(found, type) and issubclass(found, Harness) and hasattr(found, "backend"):
        load_backend_class(found.backend)
        return _class_for(found)
    raise TargetError(
        f"{target}: this is {found!r}, no subclass of Harness that names its backend and none of RuntimeConformance"
    )


def _class_for(harness: type[Harness]) -> type[RuntimeConformance]:
    return type("TestEngine", (RuntimeConformance,), {"harness": harness, "__module__": __name__})


def _harness_of(url: str) -> type[Harness]:
    load_backend_class(name := scheme_of(url))

    class AddressHarness(Harness):
        backend = name
        existing = has_address(url)

        @contextmanager
        def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[str]:
            yield url

    return AddressHarness


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    if not module or not name:
        raise TargetError(
            f"{target!r} is neither a URL like 'dask://host:8786' nor a harness like 'package.testing:SlurmHarness'"
        )
    # As 'python -m' does, so that a harness beside the caller is found.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except Exception as exc:
        # Whatever importing an author's module raises, the author has to learn what and where.
        raise TargetError(f"{target}: {module} cannot be imported: {type(exc).__name__}: {exc}") from exc
    for part in name.split("."):
        if not hasattr(found, part):
            raise TargetError(f"{target}: {module} has no {name}")
        found = getattr(found, part)
    return found
