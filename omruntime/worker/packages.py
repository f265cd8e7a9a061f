"""Script packages in a runner: unpacked once per content, importable only while a task runs."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from omruntime.errors import PackageError

__all__ = ["import_top", "package_path", "unpacked", "unchanged_process"]

_modules: dict[str, dict[str, ModuleType]] = {}
"""The modules of each package that ran here before, by its directory."""


def unpacked(wheel: Path, digest: str, scratch: Path) -> Path:
    """Return the directory of an unpacked wheel, shared by the runners of a host."""
    target = scratch / "packages" / digest
    if target.exists():
        return target
    target.parent.mkdir(exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(draft)
    try:
        draft.rename(target)
    except OSError:
        # Another runner was faster.
        if not target.exists():
            raise
    return target


@contextmanager
def package_path(root: Path) -> Iterator[None]:
    """Make the modules below ``root`` importable inside the block, and only there."""
    place = str(root)
    known = _modules.setdefault(place, {})
    hidden = {name: sys.modules[name] for name in known if name in sys.modules}
    sys.modules.update(known)
    sys.path.insert(0, place)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if place in sys.path:
            sys.path.remove(place)
        for name in _modules_below(place):
            known[name] = sys.modules.pop(name)
        sys.modules.update(hidden)


def _modules_below(place: str) -> list[str]:
    prefix = place + os.sep
    return [name for name, module in list(sys.modules.items()) if _origin(module).startswith(prefix)]


def _origin(module: ModuleType) -> str:
    spec = getattr(module, "__spec__", None)
    origin = getattr(spec, "origin", None)
    if isinstance(origin, str):
        return origin
    # A namespace package has no file, only places where it may lie.
    places = list(getattr(module, "__path__", None) or [])
    return f"{places[0]}{os.sep}" if places and isinstance(places[0], str) else ""


def import_top(name: str, title: str) -> ModuleType:
    """Import the top module of a package that `package_path` has made importable.

    Raises:
        PackageError: it does not import, or has no ``run`` that can be called.
    """
    try:
        module = importlib.import_module(name)
    except Exception as exc:
        # Importing runs the package's own code: whatever that raises.
        raise PackageError(
            f"the package of {title} cannot be imported in the worker: {type(exc).__name__}: {exc}; "
            "is all that it imports inside it, or among its requirements?"
        ) from exc
    if not callable(getattr(module, "run", None)):
        raise PackageError(f"the module {name!r} of {title} has no function run(); add: def run(*args, **kwargs)")
    return module


@contextmanager
def unchanged_process() -> Iterator[None]:
    """Undo what the block does to the working directory, ``sys.path`` and the environment of this process."""
    directory, path, environment = os.getcwd(), list(sys.path), dict(os.environ)
    try:
        yield
    finally:
        os.chdir(directory)
        sys.path[:] = path
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
