"""Where settings come from: the argument, the environment, the project's file, the embedded default."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import platformdirs

from omruntime.errors import OmegaRuntimeError

__all__ = ["RUNTIME_VARIABLE", "STORE_VARIABLE", "runtime_url", "store_url"]

RUNTIME_VARIABLE = "OMRUNTIME_RUNTIME"
STORE_VARIABLE = "OMRUNTIME_STORE"


def store_url(given: str | None = None) -> str:
    """Return the store's URL: as given, ``OMRUNTIME_STORE``, the project's file, else SQLite in the user's data."""
    found = given or os.environ.get(STORE_VARIABLE) or _from_file("store")
    return found or f"sqlite:///{Path(platformdirs.user_data_dir('omruntime')) / 'store'}"


def runtime_url(given: str | None = None) -> str:
    """Return the runtime's URL: as given, ``OMRUNTIME_RUNTIME``, the project's file, else local workers."""
    return given or os.environ.get(RUNTIME_VARIABLE) or _from_file("runtime") or "local://"


def _from_file(name: str) -> str | None:
    """Look a setting up in ``omruntime.toml`` or ``[tool.omruntime]`` of ``pyproject.toml``, here or further up."""
    for directory in (here := Path.cwd(), *here.parents):
        for filename, path in (("omruntime.toml", ()), ("pyproject.toml", ("tool", "omruntime"))):
            table = _table(directory / filename, path)
            if name in table:
                return _anchored(str(table[name]), directory)
    return None


def _anchored(url: str, directory: Path) -> str:
    """Take the relative path of a SQLite URL from the file's place, so that it means the same from below it."""
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or path.startswith(("/", "~")):
        return url
    return f"{scheme}:///{directory / path}"


def _table(file: Path, path: tuple[str, ...]) -> dict[str, Any]:
    try:
        content: Any = tomllib.loads(file.read_text())
    except OSError:
        return {}
    except ValueError as exc:
        raise OmegaRuntimeError(f"the settings in {file} cannot be read: {exc}") from exc
    for part in path:
        content = content.get(part) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}
