"""Engines for tests of the suite: one that can do the least, and others that are wrong in ways the suite must name.

Each is the embedded engine with something changed. `registered` makes them installed engines, found by entry point in
this process and in those that it starts.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from omruntime_conformance import Harness

from omruntime import Auth, OmegaRuntime, OmegaRuntimeLocal
from omruntime.abc import Backend, Call, Capability, WorkerInfo
from omruntime.local.backend import LocalBackend
from omruntime.plugins import BACKENDS, hookimpl
from omruntime.worker import Host


class Plugin:
    """What an entry point names: the engine of one class."""

    api_version = 1

    def __init__(self, backend: type[Backend]) -> None:
        self._backend = backend

    @hookimpl
    def omruntime_backend(self) -> type[Backend]:
        """Return the class."""
        return self._backend


class Minimal(LocalBackend):
    """Can do what is required of every engine, and nothing else."""

    name = "minimal"
    schemes = ("minimal",)
    capabilities: frozenset[Capability] = frozenset()


class _Hidden(Set[Capability]):
    """Capabilities that are not told to whoever lists them, but are there for whoever asks for one."""

    def __contains__(self, capability: object) -> bool:
        return True

    def __iter__(self) -> Iterator[Capability]:
        return iter(())

    def __len__(self) -> int:
        return 0


class WorksAnyway(LocalBackend):
    """Declares nothing, and does it all the same."""

    name = "anyway"
    schemes = ("anyway",)

    @classmethod
    def open(cls, url: str, **options: Any) -> Self:
        """Start it as the embedded engine is started."""
        opened = super().open(url, **options)
        opened.capabilities = _Hidden()  # type: ignore[assignment]
        return opened


class GoesOn(Minimal):
    """Does not declare that work goes on without its client, and lets it go on: closing it ends nothing."""

    name = "goeson"
    schemes = ("goeson",)

    def close(self) -> None:
        """Leave everything running until the process ends."""

    close_now = close


class Mislabelled(LocalBackend):
    """Says of each worker that it has the labels which were asked for, but runs any task on any of them."""

    name = "mislabelled"
    schemes = ("mislabelled",)
    asked: Mapping[str, int]

    @classmethod
    def open(cls, url: str, *, workers: Mapping[str, int] | None = None, **options: Any) -> Self:
        """Start workers all of which have all of the labels."""
        asked = workers or {"default": 2}
        every = ",".join(sorted({label for labels in asked for label in labels.split(",")}))
        opened = super().open(url, workers={every: sum(asked.values())}, **options)
        opened.asked = asked
        return opened

    def workers(self) -> list[WorkerInfo]:
        """List the workers with labels that they do not have alone."""
        labels = [tuple(sorted(each.split(","))) for each, slots in self.asked.items() for _ in range(slots)]
        real = super().workers()
        return [WorkerInfo(each.name, own, each.host, each.pid, 1) for each, own in zip(real, labels, strict=True)]


class Swapping(LocalBackend):
    """Gives the outcome of the first task to everybody who asks for that of another."""

    name = "swapping"
    schemes = ("swapping",)
    submit_own = None  # type: ignore[assignment]
    first: Future[bytes] | None = None

    def submit(self, call: Call) -> Future[bytes]:
        """Run the call, and return the future of another one."""
        future = super().submit(call)
        self.first = self.first or future
        return self.first


class Boasting(LocalBackend):
    """Declares more than its class, and tells its password with its address."""

    name = "boasting"
    schemes = ("boasting",)

    @classmethod
    def open(cls, url: str, **options: Any) -> Self:
        """Start it as the embedded engine is started."""
        opened = super().open(url, **options)
        opened.capabilities = frozenset(Capability)
        return opened


class Talkative(LocalBackend):
    """Tells its password with its address."""

    name = "talkative"
    schemes = ("talkative",)

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.address = f"talkative://user:sesame@{socket.gethostname()}:1234"


ENGINES: tuple[type[Backend], ...] = (Minimal, WorksAnyway, GoesOn, Mislabelled, Swapping, Boasting, Talkative)
minimal, anyway, goeson, mislabelled, swapping, boasting, talkative = map(Plugin, ENGINES)


class Larger(Harness):
    """Has a cluster that was there before, with more slots than any rule asks for."""

    backend = "local"
    existing = True

    @contextmanager
    def cluster(self, workers: Mapping[str, int], env: Mapping[str, str]) -> Iterator[OmegaRuntime]:
        """Give a runtime with the same workers for every rule."""
        auth = Auth("conformance", env["OMRUNTIME_KEY"])
        with OmegaRuntimeLocal(workers={"default": 3, "gpu": 2}, env=env, auth=auth) as runtime:
            yield runtime


def registered(place: Path, patch: pytest.MonkeyPatch) -> None:
    """Have the engines found by their schemes, as if a package that brings them were installed in ``place``."""
    info = place / "broken_engines-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-engines\nVersion: 1.0\n")
    (info / "RECORD").write_text("")
    entries = [f"{each.name} = {__name__}:{each.name}" for each in ENGINES]
    entries.append("unimportable = no_such_module_of_an_engine")
    (info / "entry_points.txt").write_text("\n".join([f"[{BACKENDS}]", *entries, ""]))
    paths = [str(place), str(Path(__file__).parents[2])]
    for path in paths:
        patch.syspath_prepend(path)
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [*paths, os.environ.get("PYTHONPATH")])))
