"""The files of this tree and the modules in them, for the tests of the house."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {
    "omruntime": ROOT,
    "omruntime_conformance": ROOT / "conformance",
    "omruntime_celery": ROOT / "backends" / "celery",
    "omruntime_dask": ROOT / "backends" / "dask",
    "omruntime_ray": ROOT / "backends" / "ray",
}


def tracked(*patterns: str) -> list[Path]:
    """Return the files that git knows, those not yet added included, without ignored and deleted ones."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns], cwd=ROOT, text=True
    )
    return sorted({ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def modules() -> dict[str, Path]:
    """Return name and file of every module of our distributions."""
    found = {}
    for package, base in DISTRIBUTIONS.items():
        for path in sorted((base / package).rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_public(module: str) -> bool:
    """Tell whether nothing in the name of the module begins with an underscore."""
    return not any(part.startswith("_") for part in module.split("."))
