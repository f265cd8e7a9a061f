"""`import omruntime` is light: it loads no engine and nothing that an extra brings."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    "celery", "dask", "distributed", "ray", "pyspark", "kombu", "boto3",
    "numpy", "pandas", "pyarrow", "scipy", "sklearn", "joblib",
    "IPython", "ipykernel", "nbclient", "nbformat", "pymongo",
    "build", "hypothesis", "pytest", "rich", "setuptools", "click",
}  # fmt: skip
MOST_MODULES = 350
"""Modules after the import, those of the interpreter included; a program that uses asyncio has some 200."""


def test_importing_omruntime_is_light() -> None:
    program = "import sys, json; import omruntime; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", program], text=True))
    assert sorted(HEAVY.intersection(loaded)) == []
    assert len(loaded) <= MOST_MODULES, f"{len(loaded)} modules: {loaded}"


def test_the_errors_and_interfaces_need_nothing_but_python() -> None:
    program = "import sys, json; import omruntime.errors, omruntime.abc; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", program], text=True))
    assert sorted(HEAVY.intersection(loaded)) == []
