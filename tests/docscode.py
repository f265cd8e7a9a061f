"""A plug-in of pytest that runs the Python blocks of a Markdown file, one after the other, as one program.

A block begins with three backticks and ``python``; ``<!-- skip: next -->`` above it leaves it out, and the text near
it says why. Each file has a home of its own; an ``om`` that it leaves open is closed at its end.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from tests.isolation import seclude

__all__ = ["pytest_collect_file"]

_CLEANUP = "cleanup of the page"


def _open_page(namespace: dict[str, Any]) -> None:
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="page-")))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        seclude(patch, home)
        stack.callback(os.chdir, Path.cwd())
        os.chdir(home)
        # As in a program of the user's: what is defined on a page belongs to no module that could be imported.
        namespace["__name__"] = "__main__"
        namespace[_CLEANUP] = stack.pop_all()


def _close_page(namespace: dict[str, Any]) -> None:
    with namespace.pop(_CLEANUP):
        if "om" in namespace:
            namespace["om"].close()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    path=str(Path(__file__).parents[1]),
    patterns=["*.md"],
    setup=_open_page,
    teardown=_close_page,
).pytest()
