"""What the built-in kinds share: libraries imported when they are needed, and blobs that run code when loaded."""

from __future__ import annotations

import importlib
from typing import Any, Protocol, runtime_checkable

from omruntime.abc.kind import BlobReader, BlobWriter
from omruntime.abc.store import Buffer
from omruntime.errors import MissingExtra

__all__ = ["CheckedReader", "checked", "need", "no_options"]


@runtime_checkable
class CheckedReader(BlobReader, Protocol):
    """A reader that can be told to hand out signed content only, whatever the record says of it."""

    def read(self, name: str, *, pickled: bool = False) -> Buffer:
        """Return a whole blob; with ``pickled`` it is refused unless it is signed."""


def checked(blobs: BlobReader | BlobWriter) -> CheckedReader:
    """Return the same blobs, for reading what runs code when it is loaded."""
    if not isinstance(blobs, CheckedReader):
        raise TypeError(f"{type(blobs).__name__} cannot check signatures, so nothing pickled is read from it")
    return blobs


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


def no_options(kind: str, options: dict[str, Any]) -> None:
    """Raise a TypeError when ``options`` holds anything."""
    if options:
        raise TypeError(f"{kind} takes no option {', '.join(sorted(options))}")
