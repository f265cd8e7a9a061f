"""Selectors: which columns, chunks or version of an object a name asks for.

    d[a,b]   columns a and b              d#                           chunks of a default number of rows
    d[a:c]   from a to c, inclusive       d#iterchunks:chunksize=1000  chunks of so many rows
    d[:c]    from the first to c          d[x]#                        both
    d[a:]    from a to the last           m@tag                        the version of a tag
    d[^a,b]  all but a and b              m^, m^^                      the version before, and the one before that

A label that holds one of ``, : ^ " '`` or a bracket is written in quotes: ``d["a,b"]``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from omruntime.errors import SelectorError
from omruntime.store.names import close_to

__all__ = ["DEFAULT_CHUNK", "Selector", "columns_of", "parse"]

DEFAULT_CHUNK = 10_000
"""Rows of a chunk of ``d#``."""

_Item: TypeAlias = str | tuple[str | None, str | None]

_WHOLE = re.compile(
    r"(?P<name>[^\[\]#@^]*)(?:(?P<back>\^+)|@(?P<tag>[^\[\]#@^\s]+))?(?P<columns>\[.*\])?(?P<chunks>#.*)?", re.DOTALL
)
_TOKEN = re.compile(r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<mark>[,:])|(?P<bare>[^,:"'\[\]^]+))""")


@dataclass(frozen=True, slots=True)
class Selector:
    """A name and what it selects of its object.

    Attributes:
        name: name of the object.
        columns: labels and inclusive ranges of labels, None for all columns.
        negate: all columns but these.
        chunk: rows of a chunk, 0 when the object is wanted whole.
        tag: tag of a version.
        back: how many versions back.
        text: how it was written.
    """

    name: str
    columns: tuple[_Item, ...] | None = None
    negate: bool = False
    chunk: int = 0
    tag: str | None = None
    back: int = 0
    text: str = ""

    @property
    def plain(self) -> bool:
        """True when it is nothing but a name."""
        return self.columns is None and not self.chunk and not self.versioned

    @property
    def versioned(self) -> bool:
        """True when it asks for a version by tag or by steps back."""
        return self.tag is not None or self.back > 0


def parse(text: str) -> Selector:
    """Return what ``text`` selects; it says nothing about whether there is such an object.

    Raises:
        SelectorError: it cannot be read.
    """
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise _unreadable(text, "after a name come ^ or @tag, then [columns], then #")
    columns, negate = _columns(match["columns"], text)
    return Selector(
        match["name"], columns, negate, _chunk(match["chunks"], text), match["tag"], len(match["back"] or ""), text
    )


def _unreadable(text: str, why: str) -> SelectorError:
    return SelectorError(f"cannot read the selector {text!r}: {why}")


def _columns(bracket: str | None, text: str) -> tuple[tuple[_Item, ...] | None, bool]:
    if bracket is None:
        return None, False
    inside = bracket[1:-1].strip()
    negate = inside.startswith("^")
    tokens = _tokens(inside[1:] if negate else inside, text)
    items = []
    while True:
        comma = tokens.index((",", True)) if (",", True) in tokens else len(tokens)
        items.append(_item(tokens[:comma], text))
        if comma == len(tokens):
            return tuple(items), negate
        tokens = tokens[comma + 1 :]


def _tokens(inside: str, text: str) -> list[tuple[str, bool]]:
    """Split into labels and marks; the flag says which of them are marks."""
    found: list[tuple[str, bool]] = []
    position = 0
    while position < len(inside.rstrip()):
        match = _TOKEN.match(inside, position)
        if match is None:
            raise _unreadable(text, f"put a label that holds {inside[position:].lstrip()[:1]!r} in quotes")
        if match["mark"]:
            found.append((match["mark"], True))
        else:
            found.append((match["quoted"][1:-1] if match["quoted"] else match["bare"].strip(), False))
        position = match.end()
    return found


def _item(tokens: list[tuple[str, bool]], text: str) -> _Item:
    match tokens:
        case [(label, False)]:
            return label
        case [(":", True)]:
            return None, None
        case [(first, False), (":", True)]:
            return first, None
        case [(":", True), (last, False)]:
            return None, last
        case [(first, False), (":", True), (last, False)]:
            return first, last
    raise _unreadable(text, "between commas stands a label, or a range like a:c")


def _chunk(given: str | None, text: str) -> int:
    if given is None:
        return 0
    method, _, options = given[1:].partition(":")
    if method not in ("", "iterchunks"):
        raise _unreadable(text, f"after # comes iterchunks:chunksize=n, or nothing, not {method!r}")
    if not options:
        return DEFAULT_CHUNK
    match = re.fullmatch(r"\s*chunksize\s*=\s*(\d+)\s*", options)
    if match is None or int(match[1]) < 1:
        raise _unreadable(text, f"iterchunks takes chunksize=n with n above 0, not {options!r}")
    return int(match[1])


def columns_of(selector: Selector, labels: Sequence[str]) -> list[int]:
    """Return the positions of the columns that are selected, in the order asked for.

    Args:
        selector: what is asked for.
        labels: the columns there are, by ``str()`` of their labels.

    Raises:
        SelectorError: a column is not there, a range runs backwards, or nothing is left.
    """
    if selector.columns is None:
        return list(range(len(labels)))
    chosen = [place for item in selector.columns for place in _places(item, labels, selector.text)]
    if selector.negate:
        without = set(chosen)
        chosen = [place for place in range(len(labels)) if place not in without]
    if not chosen and labels:
        raise SelectorError(f"{selector.text!r} selects no column; there are: {_listed(labels)}")
    return chosen


def _places(item: _Item, labels: Sequence[str], text: str) -> list[int]:
    if isinstance(item, str):
        return _find(item, labels, text)
    first = _find(item[0], labels, text)[0] if item[0] is not None else 0
    last = _find(item[1], labels, text)[-1] if item[1] is not None else len(labels) - 1
    if first > last:
        raise SelectorError(
            f"{text!r}: column {item[1]!r} stands before {item[0]!r}; write the range the other way round"
        )
    return list(range(first, last + 1))


def _find(label: str, labels: Sequence[str], text: str) -> list[int]:
    found = [place for place, each in enumerate(labels) if each == label]
    if not found:
        close = close_to(label, labels)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise SelectorError(f"{text!r}: there is no column {label!r}{hint}; there are: {_listed(labels)}")
    return found


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:20])
    return shown + (f" and {len(labels) - 20} more" if len(labels) > 20 else "") if labels else "no columns"
