"""The script package that the demo deploys: a project as anybody would write it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["NAME", "write_package"]

NAME = "report"

_FILES = {
    "pyproject.toml": f"""\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{NAME}"
version = "1.0"

[tool.setuptools]
packages = ["{NAME}"]

[tool.setuptools.package-data]
{NAME} = ["names.json"]
""",
    f"{NAME}/__init__.py": '''\
"""Counts predictions; the worker calls run() and hands in `om`, the same stores that the client sees."""

from report.names import NAMES


def run(predicted, om=None):
    values = om.datasets.get(predicted)
    counts = {name: int((values == code).sum()) for code, name in NAMES.items()}
    print("counted", counts)
    return counts
''',
    f"{NAME}/names.py": '''\
"""Reads what the codes mean from a data file of the package."""

import json
from importlib.resources import files

NAMES = {int(code): name for code, name in json.loads(files(__package__).joinpath("names.json").read_text()).items()}
''',
    f"{NAME}/names.json": '{"0": "malignant", "1": "benign"}\n',
}


def write_package(place: Path) -> Path:
    """Write the package's project into a directory and return the directory."""
    for name, text in _FILES.items():
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return place
