"""Kinds are found by plug-in; a broken one breaks nobody else; nothing heavy is loaded before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest

from omruntime.abc import BlobReader, BlobWriter, Kind, Stored
from omruntime.errors import MissingExtra, SerializationError
from omruntime.kinds.registry import Registry, load_kinds
from omruntime.plugins import KINDS, hookimpl


class Temperature:
    """What a third party wants to store."""

    def __init__(self, kelvin: float) -> None:
        self.kelvin = kelvin


class TemperatureKind(Kind):
    """A kind of a third party."""

    name: ClassVar[str] = "physics.temperature"
    prefixes: ClassVar[tuple[str, ...]] = ("data/",)

    def supports(self, obj: object, prefix: str) -> bool:
        return isinstance(obj, Temperature)

    def put(
        self, obj: Any, name: str, writer: BlobWriter, *, previous: Stored | None = None, **options: Any
    ) -> Stored:
        return Stored({"kelvin": obj.kelvin})

    def load(self, stored: Stored, reader: BlobReader, **options: Any) -> Temperature:
        return Temperature(stored.detail["kelvin"])


@pytest.fixture
def plugins() -> Iterator[list[EntryPoint]]:
    """Entry points of three packages: one that works, one that cannot be imported, one that returns nonsense."""
    good, odd = types.ModuleType("omr_good_kinds"), types.ModuleType("omr_odd_kinds")
    good.omruntime_kinds = hookimpl(lambda: [TemperatureKind()])  # type: ignore[attr-defined]
    odd.omruntime_kinds = hookimpl(lambda: ["nonsense"])  # type: ignore[attr-defined]
    sys.modules.update({"omr_good_kinds": good, "omr_odd_kinds": odd})
    yield [EntryPoint(each, f"omr_{each}_kinds", KINDS) for each in ("good", "odd", "missing")]
    del sys.modules["omr_good_kinds"], sys.modules["omr_odd_kinds"]


def test_the_kind_of_a_third_party_is_used(plugins: list[EntryPoint]) -> None:
    registry = load_kinds(plugins)
    kind = registry.suitable(Temperature(3.0), "data/")
    assert kind.name == "physics.temperature"
    assert registry.named("physics.temperature") is kind
    assert registry.suitable(Temperature(3.0), "models/").name == "python.pickle"
    assert registry.suitable([1], "data/").name == "python.data"


def test_a_broken_plug_in_is_told_when_a_kind_is_missing(plugins: list[EntryPoint]) -> None:
    registry = load_kinds(plugins)
    assert sorted(registry.broken) == ["missing", "odd"]
    with pytest.raises(MissingExtra, match=r"'other\.kind'.*missing: ModuleNotFoundError.*odd: TypeError"):
        registry.named("other.kind")
    with pytest.raises(SerializationError, match=r"jobs/ cannot hold.*builtins\.int.*omr_missing_kinds"):
        registry.suitable(1, "jobs/")
    with pytest.raises(MissingExtra, match="no installed package provides that kind; install"):
        Registry().named("x")


def test_the_built_in_kinds_come_first_and_once() -> None:
    twice = EntryPoint("builtin", "omruntime.kinds.plugin", KINDS)
    assert load_kinds([twice]).kinds.keys() == load_kinds([]).kinds.keys()
    assert "python.pickle" in load_kinds([]).kinds


HEAVY = ["numpy", "pandas", "pyarrow", "sklearn", "nbformat", "build", "setuptools", "scipy"]


def test_stores_and_plain_values_load_nothing_heavy(store_url: str) -> None:
    program = f"""
import json, sys
from omruntime.auth import Auth
from omruntime.store import ObjectStore, open_store
store = open_store({store_url!r})
datasets = ObjectStore(store, "data/", bucket="b", auth=Auth("u", "k"))
datasets.put([1], "d"); datasets.get("d#")
store.close()
print(json.dumps([each for each in {HEAVY!r} if each in sys.modules]))
"""
    assert json.loads(subprocess.check_output([sys.executable, "-c", program], text=True)) == []


@pytest.mark.parametrize(
    ("blocked", "statement", "extra"),
    [
        ("pyarrow", "import pandas; datasets.put(pandas.DataFrame({'x': [1]}), 'new')", "data"),
        ("pandas", "datasets.get('frame')", "data"),
        ("numpy", "datasets.get('array')", "data"),
        ("nbformat", "jobs.get('nb')", "jobs"),
        ("nbformat", "jobs.create('1', 'new')", "jobs"),
    ],
)
def test_a_missing_library_is_told_with_the_extra_that_brings_it(
    blocked: str, statement: str, extra: str, store_url: str, shelf: Any
) -> None:
    import numpy as np
    import pandas as pd

    shelf("data/").put(pd.DataFrame({"x": [1]}), "frame")
    shelf("data/").put(np.ones(3), "array")
    shelf("jobs/").create("1", "nb")
    program = f"""
import sys
from omruntime.auth import Auth
from omruntime.errors import MissingExtra
from omruntime.store import ObjectStore, open_store
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
store = open_store({store_url!r})
auth = Auth("tester", "a key for tests that protects nothing")
datasets, jobs = (ObjectStore(store, prefix, bucket="tests", auth=auth) for prefix in ("data/", "jobs/"))
try:
    {statement}
except MissingExtra as exc:
    print(exc)
finally:
    store.close()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == (
        f"this needs {blocked}, which is not installed here; run: pip install 'omruntime[{extra}]'"
    ), run.stderr
