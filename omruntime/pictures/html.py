"""Pictures as HTML: one block that needs nothing else, and looks right on light and on dark pages.

Every text is escaped where it enters (`tag`). All styles are inline, since notebooks drop the style sheets of what
they do not trust; the one style sheet adds motion, and nothing is lost without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from omruntime.pictures.model import Node, Picture, Section, Table, Text, Tree, shortened
from omruntime.pictures.states import State, state_of
from omruntime.pictures.texts import presentable

__all__ = ["Html", "bar", "to_html"]

_LINE = "rgba(128,128,128,.35)"
_SHADE = "rgba(128,128,128,.10)"
_MONO = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12px"
_CARD = (
    "font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-size:13px;line-height:1.5;color:inherit;"
    f"border:1px solid {_LINE};border-radius:8px;padding:10px 14px;margin:4px 0;max-width:72em;box-sizing:border-box"
)
_CHIP = (
    "display:inline-flex;align-items:center;gap:5px;color:#fff;border-radius:10px;padding:0 9px;font-size:11px;"
    "font-weight:600;line-height:20px;letter-spacing:.03em;white-space:nowrap"
)
_BADGE = (
    "display:inline-flex;align-items:center;justify-content:center;width:16px;height:16px;border-radius:8px;"
    "font-size:10px;line-height:1;font-weight:600"
)
_MOTION = (
    "<style>@media (prefers-reduced-motion:no-preference){.omruntime-alive{animation:omruntime-alive 1.6s "
    "ease-in-out infinite}}@keyframes omruntime-alive{50%{opacity:.25}}</style>"
)
_QUIET = "opacity:.65"
_DEEPEST = 20


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


def tag(name: str, style: str, *content: str, extra: str = "") -> Html:
    """Return an element; content that is no `Html` is made presentable and escaped."""
    inner = "".join(each if isinstance(each, Html) else escape(presentable(each)) for each in content)
    return Html(f'<{name}{extra} style="{style}">{inner}</{name}>')


def to_html(picture: Picture) -> Html:
    """Return a picture as a block of HTML."""
    heading = [tag("span", "font-weight:600;font-size:14px;overflow-wrap:anywhere", picture.title)]
    if picture.status:
        heading.insert(0, _chip(state_of(picture.status)))
    if picture.what:
        heading.append(tag("span", _QUIET, picture.what))
    parts = [
        tag("div", "display:flex;flex-wrap:wrap;align-items:center;gap:4px 9px", *heading),
        *_facts(picture.facts),
        *map(_section, picture.sections),
    ]
    return tag("div", _CARD, *_motion(parts), *parts)


def bar(title: str, done: int, total: int, failed: int) -> Html:
    """Return a bar: what has succeeded, what has failed, and in words how many of all that is."""
    whole = max(total, done, 1)
    pieces = [("SUCCESS", done - failed), ("FAILURE", failed)]
    filled = [
        tag("div", f"width:{count / whole:.4%};background:{state_of(word).colour};transition:width .3s")
        for word, count in pieces
        if count > 0
    ]
    words = f"{done} of {total}" + (f", {failed} failed" if failed else "")
    badge = _badge(state_of(("FAILURE" if failed else "SUCCESS") if done >= total else "STARTED"))
    return tag(
        "div",
        f"{_CARD};display:flex;flex-wrap:wrap;align-items:center;gap:4px 10px",
        *_motion([badge]),
        badge,
        tag("span", "font-weight:600", title),
        tag(
            "div",
            f"display:flex;flex:1 1 12em;height:8px;border-radius:4px;overflow:hidden;background:{_LINE}",
            *filled,
        ),
        tag("span", "font-variant-numeric:tabular-nums;white-space:nowrap", words),
    )


def _motion(parts: Iterable[Html]) -> list[Html]:
    return [Html(_MOTION)] if any("omruntime-alive" in part for part in parts) else []


def _chip(state: State) -> Html:
    return tag("span", f"{_CHIP};background:{state.colour}", _dot(state, "#fff"), state.word)


def _badge(state: State) -> Html:
    if not state.word:
        return tag("span", "width:16px")
    style = f"{_BADGE};background:{state.colour}"
    return tag("span", style, _dot(state, "#fff"))


def _dot(state: State, colour: str) -> Html:
    return tag("span", f"color:{colour}", state.sign, extra=' class="omruntime-alive"' if state.alive else "")


def _facts(facts: Iterable[tuple[str, str]]) -> list[Html]:
    cells = []
    for name, text in facts:
        if text:
            cells += [tag("span", _QUIET, name), tag("span", "overflow-wrap:anywhere;white-space:pre-wrap", text)]
    grid = "display:grid;grid-template-columns:max-content minmax(0,1fr);gap:1px 14px;margin-top:6px"
    return [tag("div", grid, *cells)] if cells else []


def _section(section: Section) -> Html:
    if isinstance(section, Text):
        edge = f"border-left:3px solid {state_of('FAILURE').colour};" if section.bad else ""
        body = tag(
            "pre",
            f"{_MONO};{edge}background:{_SHADE};color:inherit;margin:0;padding:6px 10px;border-radius:4px;"
            "line-height:1.45;max-height:28em;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;text-align:left",
            section.text,
        )
    elif isinstance(section, Table):
        body = _table(section)
    else:
        body = _tree(section.nodes)
    return _titled(section.title, body, folded=not isinstance(section, Tree) and section.folded)


def _titled(title: str, body: Html, *, folded: bool) -> Html:
    if folded:
        summary = tag("summary", f"{_QUIET};cursor:pointer;display:list-item", title)
        return tag("details", "margin-top:8px", summary, tag("div", "margin-top:3px", body))
    heading = [tag("div", f"{_QUIET};margin-bottom:2px", title)] if title else []
    return tag("div", "margin-top:8px", *heading, body)


def _table(table: Table) -> Html:
    cell = "padding:2px 12px 2px 0;text-align:left;vertical-align:top;background:none;border:0;white-space:pre-wrap"
    head = [tag("th", f"{cell};font-weight:600;border-bottom:1px solid {_LINE}", each) for each in table.columns]
    rows = [
        tag("tr", "background:none", *(tag("td", f"{cell};overflow-wrap:anywhere", each) for each in row))
        for row in table.rows
    ]
    whole = tag(
        "table",
        f"{_MONO};border-collapse:collapse;border:0;margin:0;color:inherit;table-layout:auto",
        *([tag("thead", "", tag("tr", "background:none", *head))] if any(table.columns) else []),
        tag("tbody", "", *rows),
    )
    return tag("div", "overflow-x:auto", whole)


def _tree(nodes: Sequence[Node], depth: int = 0) -> Html:
    if depth >= _DEEPEST:
        return tag("div", _QUIET, "…")
    return tag("div", "", *(_node(node, depth) for node in shortened(nodes)))


def _node(node: Node, depth: int) -> Html:
    line = tag(
        "div",
        "display:flex;flex-wrap:wrap;gap:0 8px;align-items:center;padding:1px 0",
        _badge(state_of(node.status)),
        tag("span", "overflow-wrap:anywhere", node.label),
        *([tag("span", f"{_QUIET};font-size:11px;letter-spacing:.03em", node.status)] if node.status else []),
        tag("span", _QUIET, node.note),
    )
    if not node.children:
        return line
    inside = tag(
        "div", f"border-left:1px solid {_LINE};margin-left:7px;padding-left:14px", _tree(node.children, depth + 1)
    )
    return tag("div", "", line, inside)
