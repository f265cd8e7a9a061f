"""What the built-in kinds share: libraries imported when they are needed, and options that nobody takes."""

from __future__ import annotations

import importlib
from typing import Any, BinaryIO

from omruntime.errors import MissingExtra

__all__ = ["is_file", "need", "no_options"]


def need(module: str, extra: str) -> Any:
    """Import a library that an extra brings.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        package = module.partition(".")[0]
        if exc.name is None or exc.name.partition(".")[0] != package:
            raise
        raise MissingExtra(
            f"this needs {package}, which is not installed here; run: pip install 'omruntime[{extra}]'"
        ) from exc


def is_file(stream: BinaryIO) -> bool:
    """Tell whether a blob's stream is a file, which the system can map, so that parts of it are read for nothing."""
    try:
        stream.fileno()
    except OSError:
        return False
    return True


def no_options(kind: str, options: dict[str, Any]) -> None:
    """Raise a TypeError when ``options`` holds anything."""
    if options:
        raise TypeError(f"{kind} takes no option {', '.join(sorted(options))}")
