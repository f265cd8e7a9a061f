"""Script packages in a runner: unpacked once per content, importable only while a task runs."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from omruntime.errors import PackageError

__all__ = ["import_top", "package_path", "unchanged_process", "unpacked"]

_modules: dict[str, dict[str, ModuleType]] = {}
"""The modules of each package that ran here before, by its directory."""


def unpacked(digest: str, scratch: Path, fetch: Callable[[], Path]) -> Path:
    """Return the directory of an unpacked wheel, shared by the runners of a host.

    Args:
        digest: digest of the package's content.
        scratch: directory that the runners share.
        fetch: returns the wheel; called only where it has not been unpacked yet.
    """
    target = scratch / "packages" / digest
    if target.exists():
        return target
    wheel = fetch()
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
    hidden = _hide_namesakes(root)
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


def _hide_namesakes(root: Path) -> dict[str, ModuleType]:
    """Take modules out of the way that have the names of the package's own, and return them."""
    tops = {entry.name.partition(".")[0] for entry in root.iterdir()}
    if not any(top in sys.modules for top in tops):
        return {}
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in tops}


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
def unchanged_process(*, modules: bool) -> Iterator[None]:
    """Undo what the block does to this process: working directory, environment, ``sys.path``.

    Args:
        modules: take the modules out too that it has planted; what it has imported from where others find it too
            stays: it is the same for all tasks.
    """
    directory, path, environment = os.getcwd(), list(sys.path), _environment()
    imported = dict(sys.modules) if modules else {}
    try:
        yield
    finally:
        added = tuple(os.path.join(place, "") for place in sys.path if place not in path)
        _go_back(directory)
        sys.path[:] = path
        if _environment() != environment:
            os.environb.clear()
            os.environb.update(environment)
        if modules and sys.modules != imported:
            _restore_modules(imported, added)


def _go_back(directory: str) -> None:
    try:
        os.chdir(directory)
    except FileNotFoundError:
        # A task has removed it.
        os.makedirs(directory, exist_ok=True)
        os.chdir(directory)


def _environment() -> dict[bytes, bytes]:
    # What os.environ.copy() makes of it costs more than the rest of a small task.
    data: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001
    return data.copy()


def _restore_modules(before: dict[str, ModuleType], places: tuple[str, ...]) -> None:
    """Put replaced and removed modules back, and take out those that were planted, or came from these places."""
    for name in [name for name, module in sys.modules.items() if before.get(name) is not module]:
        origin = _origin(sys.modules[name])
        if name in before:
            sys.modules[name] = before[name]
        elif not origin or origin.startswith(places):
            del sys.modules[name]
    for name in before.keys() - sys.modules.keys():
        sys.modules[name] = before[name]
