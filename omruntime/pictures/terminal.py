"""Pictures for a terminal, by rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text as Words
from rich.tree import Tree as Branches

from omruntime.pictures.model import Node, Picture, Section, Table, Text, shortened
from omruntime.pictures.states import state_of
from omruntime.pictures.texts import presentable

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["signed", "to_rich"]

_DEEPEST = 20


def to_rich(picture: Picture) -> RenderableType:
    """Return a picture as what rich prints."""
    state = state_of(picture.status)
    title = Words(presentable(picture.title), style="bold", overflow="fold")
    if picture.status:
        title = Words.assemble(signed(picture.status), "  ", title)
    if picture.what:
        title = Words.assemble(title, "  ", (presentable(picture.what), "dim"))
    parts: list[RenderableType] = [title]
    if any(text for _, text in picture.facts):
        parts.append(_facts(picture))
    for section in picture.sections:
        parts += ["", *_section(section)]
    return Panel(Group(*parts), box=box.ROUNDED, border_style=state.style or "dim", expand=False, padding=(0, 1))


def signed(status: str) -> Words:
    """Return a status with its sign, in its colour."""
    state = state_of(status)
    return Words(f"{state.sign} {presentable(state.word)}".rstrip(), style=f"bold {state.style}".rstrip())


def _facts(picture: Picture) -> Grid:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in picture.facts:
        if text:
            grid.add_row(_words(name), _words(text))
    return grid


def _section(section: Section) -> list[RenderableType]:
    title: list[RenderableType] = [_words(section.title, "dim")] if section.title else []
    if isinstance(section, Text):
        return [*title, _words(section.text, "red" if section.bad else "")]
    if isinstance(section, Table):
        return [*title, _table(section)]
    tree = Branches("", hide_root=True, guide_style="dim")
    _grow(tree, section.nodes)
    return [*title, tree]


def _table(table: Table) -> Grid:
    drawn = Grid(
        box=box.SIMPLE_HEAD if any(table.columns) else None,
        show_header=any(table.columns),
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for column in table.columns:
        drawn.add_column(_words(column), overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(_words, row))
    return drawn


def _grow(tree: Branches, nodes: Sequence[Node], depth: int = 0) -> None:
    if depth >= _DEEPEST:
        tree.add(Words("…", style="dim"))
        return
    for node in shortened(nodes):
        style = state_of(node.status).style
        pieces = [_words(node.label)]
        if node.status:
            pieces = [
                Words(state_of(node.status).sign, style=f"bold {style}"),
                *pieces,
                _words(node.status, style),
            ]
        if node.note:
            pieces.append(_words(node.note, "dim"))
        label = Words(" ").join(pieces)
        _grow(tree.add(label), node.children, depth + 1)


def _words(text: str, style: str = "") -> Words:
    return Words(presentable(text), style=style, overflow="fold")
