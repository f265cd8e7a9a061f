"""The example of a backend: as short as it is said to be, and the same in the tutorial that builds it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.house.tree import ROOT, tracked

SPOOL = ROOT / "examples" / "spool"
TUTORIAL = ROOT / "docs" / "guides" / "tutorial-backend.md"
BLOCK = re.compile(r'^```\w+ title="(?P<file>[^"]+)"\n(?P<code>.*?)^```$', re.MULTILINE | re.DOTALL)
BOUND = 100
SILENT = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)


def lines_of_code(source: str) -> int:
    """Return how many lines have code on them: no blank ones, no comments, no docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for each in tokens if each.type not in SILENT for line in range(each.start[0], each.end[0] + 1)}
    strings = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr) and _is_text(node.value)]
    return len(lines - {line for node in strings for line in range(node.lineno, (node.end_lineno or 0) + 1)})


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def without_blanks(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_the_counter_counts_code() -> None:
    assert (
        lines_of_code('"""Doc."""\n\n# why\nx = """a\nb"""  # c\n\n\ndef f():\n    """Doc."""\n    return 1\n') == 4
    )


def test_a_whole_backend_is_under_a_hundred_lines() -> None:
    files = [path for path in tracked("examples/spool/omruntime_spool/*.py") if path.name != "testing.py"]
    assert {"backend.py", "errors.py", "plugin.py"} <= {path.name for path in files}
    assert sum(lines_of_code(path.read_text()) for path in files) < BOUND


def _in_the_tutorial() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for match in BLOCK.finditer(TUTORIAL.read_text()):
        found.setdefault(match["file"], []).extend(without_blanks(match["code"]))
    return found


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in tracked("examples/spool/*.py", "examples/spool/*.toml")
        if path.name != "test_spool.py"  # what is this engine's alone
    ],
    ids=lambda path: str(path.relative_to(SPOOL)),
)
def test_the_tutorial_has_every_line_in_order(path: Path) -> None:
    assert _in_the_tutorial().get(str(path.relative_to(SPOOL))) == without_blanks(path.read_text())
