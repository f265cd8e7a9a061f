"""What to show of a thing, whatever it is drawn with."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["MOST_CHILDREN", "Node", "Picture", "Section", "Table", "Text", "Tree", "shortened"]

MOST_CHILDREN = 12
"""Children of a node that are drawn; the others are counted."""
_OF_INTEREST = ("FAILURE", "STARTED", "REVOKED")


@dataclass(frozen=True, slots=True)
class Text:
    """A block of text in a fixed width."""

    title: str
    text: str
    folded: bool = False
    """Shown only when it is asked for, where that is possible."""
    bad: bool = False
    """It says what went wrong."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a whole, with its parts: a step of a canvas, or a canvas in it."""

    label: str
    status: str = ""
    note: str = ""
    """What else there is to say in a few words, like how long it took."""
    children: Sequence[Node] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """Parts of a whole, in their order."""

    title: str
    nodes: Sequence[Node]


Section: TypeAlias = Text | Table | Tree


@dataclass(frozen=True, slots=True)
class Picture:
    """What to show of a thing."""

    title: str
    what: str = ""
    """What the thing is, in a word or two."""
    status: str = ""
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """Names and values; those without a value are left out."""
    sections: Sequence[Section] = ()


def shortened(nodes: Sequence[Node], most: int = MOST_CHILDREN) -> Iterator[Node]:
    """Yield the nodes to draw, in order: all, or the most interesting, and for each gap one that counts."""
    if len(nodes) <= most + 1:
        yield from nodes
        return
    kept = _worth_showing(nodes, most)
    for shown, run in itertools.groupby(range(len(nodes)), key=kept.__contains__):
        group = [nodes[place] for place in run]
        yield from group if shown else [_counted(group)]


def _worth_showing(nodes: Sequence[Node], most: int) -> set[int]:
    interesting = (place for place, node in enumerate(nodes) if node.status in _OF_INTEREST)
    kept = set(itertools.islice(interesting, most - 3))
    for place in (len(nodes) - 1, *range(len(nodes))):
        if len(kept) >= most:
            break
        kept.add(place)
    return kept


def _counted(nodes: Sequence[Node]) -> Node:
    counts = Counter(node.status or "more" for node in nodes)
    return Node("…", note=", ".join(f"{count} {status}" for status, count in counts.items()))
