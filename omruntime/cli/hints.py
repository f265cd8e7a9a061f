"""Commands to type next: they name what this one was given, and never a password."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from omruntime.cli.settings import Settings
from omruntime.masking import mask

__all__ = ["hint", "shown"]


def hint(settings: Settings, *words: str, objects: bool = False, engine: bool = False) -> str:
    """Return a command line that finds the same store.

    Args:
        settings: what this command was given.
        *words: the command and its arguments.
        objects: it looks at objects, and so needs the bucket.
        engine: it needs the engine.
    """
    given = {
        "bucket": settings.bucket if objects else None,
        "store": shown(settings.store),
        "runtime": shown(settings.runtime) if engine else None,
    }
    options = [part for name, value in given.items() if value for part in (f"--{name}", shlex.quote(value))]
    return " ".join([_program(), *map(shlex.quote, words), *options])


def shown(url: str | None) -> str:
    """Return a URL as it was given; nothing for one with a password in it, which whoever gave it knows."""
    return url if url and mask(url) == url else ""


def _program() -> str:
    """Return how this command was called, such that it can be typed again here."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m omruntime"
    found = shutil.which("omruntime")
    if called.name != "omruntime" or (found is not None and Path(found).resolve() == called.resolve()):
        return "omruntime"
    return shlex.quote(sys.argv[0])
