"""One program on every engine: what it prints is the same, byte by byte, and what its guide says."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
from omruntime_conformance import Harness

from omruntime import Omega
from tests.house.tree import ROOT

PROGRAM = ROOT / "examples" / "one-program" / "program.py"
GUIDE = (ROOT / "docs" / "guides" / "one-program.md").read_text()
ENGINES = {
    "local": ("omruntime_conformance.local", ["local://"]),
    "celery": ("omruntime_celery.testing", ["celery://", "CeleryHarness"]),
    "dask": ("omruntime_dask.testing", ["dask://", "DaskHarness"]),
    "ray": ("omruntime_ray.testing", ["ray://", "RayHarness"]),
}
"""By name: the module of the engine's harnesses, and what the program is run on: a URL, or a cluster of a harness."""
LIMIT = 100


def _block(language: str) -> str:
    """Return the only block of the guide that is in a language."""
    (block,) = re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return str(block)


@contextmanager
def _engine(module: str, where: str, env: dict[str, str]) -> Iterator[str]:
    """Give the URL of an engine: one that the program itself starts, or of workers that are there already."""
    if "://" in where:
        yield where
        return
    harness: Harness = getattr(importlib.import_module(module), where)()
    cluster: AbstractContextManager[object] = harness.cluster({"default": 2, "gpu": 1}, env)
    with ExitStack() as stack:
        # One whose engine takes long to start keeps it for its next cluster.
        stack.callback(getattr(harness, "close", lambda: None))
        yield str(stack.enter_context(cluster))


def test_the_guide_has_the_program_as_it_is() -> None:
    assert _block("python") == PROGRAM.read_text()


@pytest.mark.parametrize(
    ("module", "where"),
    [
        pytest.param(module, where, marks=[] if name == "local" else [pytest.mark.thorough])
        for name, (module, ways) in ENGINES.items()
        for where in ways
    ],
    ids=lambda value: "on" if "_" in value else value,
)
def test_every_engine_prints_what_the_guide_says(module: str, where: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        pytest.skip(f"not exercised: {module.partition('.')[0]} is not installed")
    env = {"OMRUNTIME_STORE": f"sqlite:///{tmp_path}/store"}
    with Omega(env["OMRUNTIME_STORE"]) as om:
        om.datasets.list()  # a worker makes no store
    with _engine(module, where, env) as url:
        done = subprocess.run(
            [sys.executable, "-W", "error", str(PROGRAM), url],
            env={**os.environ, **env},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
    assert done.stderr.decode() == ""
    assert done.returncode == 0
    assert done.stdout == _block("text").encode()
