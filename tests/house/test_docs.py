"""What the documentation lists is what there is: errors, variables, guides."""

from __future__ import annotations

import re

from omruntime import errors
from tests.house.tree import ROOT, tracked

DOCS = ROOT / "docs"
SOURCES = ("omruntime/**/*.py", "backends/*/omruntime_*/*.py")
ROW = re.compile(
    r"^\| `(?P<name>\w+)` \|(?: `(?P<builtin>\w+)`)? \| (?P<when>.+) \| (?P<advice>.+) \|$", re.MULTILINE
)
VARIABLE = re.compile(r"OMRUNTIME_[A-Z]+(?:_[A-Z]+)*")


def test_every_error_is_explained() -> None:
    rows = {match["name"]: match for match in ROW.finditer((DOCS / "reference" / "errors.md").read_text())}
    assert sorted(rows) == sorted(errors.__all__)
    for name, row in rows.items():
        assert row["builtin"] == _builtin(getattr(errors, name)), f"{name} is also another builtin"


def _builtin(cls: type[Exception]) -> str | None:
    names = [base.__name__ for base in cls.__bases__ if base.__module__ == "builtins" and base is not Exception]
    return names[0] if names else None


def test_every_variable_is_explained_and_no_other() -> None:
    sources = [path for path in tracked(*SOURCES) if path.name != "testing.py"]
    used = {name for path in sources for name in VARIABLE.findall(path.read_text())}
    page = (DOCS / "guides" / "operating.md").read_text()
    explained = {match for line in page.splitlines() if line.startswith("| `OMR") for match in VARIABLE.findall(line)}
    assert explained == used


def test_every_page_can_be_found() -> None:
    nav = (ROOT / "mkdocs.yml").read_text()
    pages = [str(path.relative_to(DOCS)) for path in tracked("docs/*.md") if not path.name.startswith("0")]
    assert [page for page in pages if f"- {page}\n" not in nav and f": {page}\n" not in nav] == []
    readme = (ROOT / "README.md").read_text()
    assert [page for page in pages if page.startswith("guides/") and f"(docs/{page})" not in readme] == []
