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
"""Puts together what the notebooks have found; the worker hands in `om`, the same stores that the client sees."""

from report.names import NAMES


def run(results=None, om=None):
    """Tell how much of each digit is recognised: of the notebooks of a mapreduce (their copies), else of all."""
    if results is None:
        found = [om.datasets.get(name) for name in om.datasets.list("checked/*")]
    else:
        given = [om.jobs.get(copy).metadata["omruntime"]["parameters"] for copy in results]
        found = [om.datasets.get(f"checked/{each['digit']}") for each in given]
    shares = {NAMES[each["digit"]]: f"{each['recognised']} of {each['images']}" for each in found}
    print("put together", shares)
    return shares
''',
    f"{NAME}/names.py": '''\
"""Reads what digits are called from a data file of the package."""

import json
from importlib.resources import files

NAMES = json.loads(files(__package__).joinpath("names.json").read_text())
''',
    f"{NAME}/names.json": '["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]\n',
}


def write_package(place: Path) -> Path:
    """Write the package's project into a directory and return the directory."""
    for name, text in _FILES.items():
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return place
