"""Drawing: the same picture as HTML and for a terminal, safe whatever the texts are."""

from __future__ import annotations

import html.parser
import io
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from omruntime.pictures import STATES, Node, Picture, Table, Text, Tree, state_of
from omruntime.pictures.html import bar, to_html
from omruntime.pictures.model import MOST_CHILDREN, shortened
from omruntime.pictures.terminal import to_rich
from omruntime.pictures.texts import clipped, lasting, presentable, pretty, size
from omruntime.pictures.values import preview

VOID = {"br", "hr", "img", "input", "meta", "link"}


class Reader(html.parser.HTMLParser):
    """Reads HTML as a browser would: its tags, all closed, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"style", "class"}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.words)


def in_terminal(picture: Picture, width: int = 200) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(to_rich(picture))
    return stream.getvalue()


def everywhere(text: str) -> Picture:
    """A picture that has a text in every place there is."""
    return Picture(
        text,
        text,
        text,
        ((text, text), ("empty", "")),
        (
            Text(text, text, folded=True),
            Text(text, text, bad=True),
            Table(text, (text, "b"), [(text, text)]),
            Tree(text, [Node(text, text, text, [Node(text, "STARTED")])]),
        ),
    )


@given(st.text())
def test_no_text_can_be_more_than_text(text: str) -> None:
    plain = Reader(to_html(everywhere("plain")))
    assert Reader(to_html(everywhere(text))).tags <= plain.tags | {"span"}
    to_html(everywhere(text)).encode()
    in_terminal(everywhere(text)).encode()


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "a & b", '"quoted"', "'", "[red]no markup[/red]", "[/]"]
)
def test_text_is_shown_as_it_is(text: str) -> None:
    assert text in Reader(to_html(everywhere(text))).text
    assert text in in_terminal(everywhere(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("a\x00b\x08c\rd", "abcd"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("half \ud800", "half ?"),
        ("\u202egnp.exe", "gnp.exe"),
        ("redis://u:pw@h/0", "redis://u:***@h/0"),
    ],
)
def test_what_would_change_the_screen_or_tell_a_secret_is_taken_out(text: str, shown: str) -> None:
    assert presentable(text) == shown
    assert "\x1b" not in to_html(everywhere(text)) + in_terminal(everywhere(text))
    assert "pw@" not in to_html(everywhere(text)) + in_terminal(everywhere(text))


def test_every_part_is_in_both() -> None:
    picture = Picture(
        "the title",
        "a thing",
        "SUCCESS",
        (("worker", "local@1"), ("label", "")),
        (
            Text("output", "line 1\nline 2", folded=True),
            Table("rows", ("x", "y"), [("1", "2")]),
            Tree("steps", [Node("outer", "STARTED", "3 s", [Node("inner", "PENDING")])]),
        ),
    )
    words = (
        "the title",
        "a thing",
        "SUCCESS",
        "✓",
        "worker",
        "local@1",
        "output",
        "line 2",
        "rows",
        "x",
        "2",
        "steps",
    )
    reader = Reader(to_html(picture))
    for shown in (reader.text, in_terminal(picture)):
        for word in (*words, "outer", "STARTED", "3 s", "inner", "○"):
            assert word in shown
        assert "label" not in shown
    assert "details" in reader.tags


def test_only_what_is_not_over_moves() -> None:
    assert {word for word in STATES if "<style>" in to_html(Picture("t", status=word))} == {"PENDING", "STARTED"}
    nested = Picture("t", status="SUCCESS", sections=[Tree("", [Node("a", children=[Node("b", "STARTED")])])])
    assert "<style>" in to_html(nested)
    assert "omruntime-alive" in bar("b", 1, 2, 0)
    assert "omruntime-alive" not in bar("b", 2, 2, 1)


def test_html_needs_nothing_from_elsewhere() -> None:
    drawn = to_html(everywhere("t")) + bar("t", 1, 2, 1)
    assert not re.search(r"url\(|https?:|<link|<script|<img|@import", drawn)


def _contrast(colour: str, other: str) -> float:
    def light(code: str) -> float:
        parts = [int(code[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((light(colour), light(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("word", [*STATES, "ANYTHING"])
def test_a_chip_is_read_and_seen_on_light_and_dark(word: str) -> None:
    """WCAG 2.2: 4.5 for the white text on it, 3 for it on the page."""
    colour = state_of(word).colour
    assert _contrast("#ffffff", colour) >= 4.5
    assert _contrast("#111111", colour) >= 3.0


# -- trees -------------------------------------------------------------------------------------------------------


def test_of_many_children_those_of_interest_are_drawn_and_all_are_counted() -> None:
    statuses = ["SUCCESS"] * 500 + ["FAILURE"] + ["SUCCESS"] * 100 + ["STARTED"] * 2 + ["PENDING"] * 397
    drawn = list(shortened([Node(str(number), status) for number, status in enumerate(statuses)]))
    labels = [node.label for node in drawn]
    assert {"0", "500", "601", "602", "999"} <= set(labels)
    assert len(drawn) <= 2 * MOST_CHILDREN
    gaps = [node.note for node in drawn if node.label == "…"]
    assert "100 SUCCESS" in gaps
    assert sum(int(part.split()[0]) for note in gaps for part in note.split(", ")) + len(labels) - len(gaps) == 1000
    places = [int(label) for label in labels if label != "…"]
    assert places == sorted(places)


def test_few_children_are_all_drawn() -> None:
    nodes = [Node(str(number)) for number in range(MOST_CHILDREN + 1)]
    assert list(shortened(nodes)) == nodes


def test_a_tree_of_any_depth_and_width_is_drawn() -> None:
    deep = Node("leaf")
    for _ in range(2000):
        deep = Node("level", "STARTED", children=[deep])
    picture = Picture("t", sections=[Tree("", [deep, Node("wide", children=[Node("w")] * 10_000)])])
    assert len(to_html(picture)) < 100_000
    assert "…" in in_terminal(picture)


# -- values ------------------------------------------------------------------------------------------------------


def test_a_frame_shows_its_first_rows() -> None:
    frame = pd.DataFrame({f"c{n}": range(1000) for n in range(20)}, index=[f"r{n}" for n in range(1000)])
    shown = preview(frame)
    assert isinstance(shown, Table)
    assert shown.title == "value: 1000 rows, 20 columns"
    assert shown.columns[:2] == ["", "c0"]
    assert [row[0] for row in shown.rows] == ["r0", "r1", "r2", "r3", "r4", "…"]
    assert {len(row) for row in shown.rows} == {len(shown.columns)}


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame({"a": []}),
        pd.DataFrame([[1, 2]], columns=["same", "same"]),
        pd.DataFrame({("a", 1): [1.5], ("b", 2): [None]}, index=pd.MultiIndex.from_tuples([(1, "x")])),
        pd.Series([1.0, 2.0]),
        pd.Series(["x" * 1000], name=("a", 1)),
        pd.Series(pd.date_range("2026-01-01", periods=2, tz="Europe/Paris")),
    ],
)
def test_every_frame_and_series_has_a_preview(frame: object) -> None:
    shown = preview(frame)
    assert isinstance(shown, Table)
    assert all(len(cell) < 100 for row in shown.rows for cell in row)
    to_html(Picture("t", sections=[shown]))
    in_terminal(Picture("t", sections=[shown]))


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    "value",
    [None, 1, "text", "a\nb", b"\xff" * 100_000, {"a": [1] * 10_000}, [[[[[[[[[1]]]]]]]]], Rude(), {"r": Rude()}],
)
def test_every_value_has_a_short_text(value: object) -> None:
    shown = preview(value)
    assert isinstance(shown, Text)
    assert len(shown.text) < 20_000
    assert shown.text.count("\n") <= 30


def test_arrays_tell_shape_and_type() -> None:
    shown = preview(np.zeros((1000, 3), dtype="float32"))
    assert shown.title == "value: ndarray of 1000 by 3, float32"


def test_secrets_in_values_are_masked() -> None:
    shown = pretty({"password": "pa", "url": "redis://u:pb@h", "more": [{"token": "pc"}]})
    assert "pa'" not in shown
    assert "pc" not in shown
    assert "pb" not in presentable(shown)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 ms"), (0.0123, "12 ms"), (1, "1.0 s"), (99.4, "99.4 s"), (99.99, "1 min 40 s"), (7380, "2 h 03 min")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert lasting(seconds) == words
    assert lasting(200_000) == "2 d 7 h"


@pytest.mark.parametrize(("count", "words"), [(0, "0 bytes"), (999, "999 bytes"), (10_000_000, "10.0 MB")])
def test_sizes_in_words(count: int, words: str) -> None:
    assert size(count) == words


def test_long_texts_are_clipped_at_either_end() -> None:
    text = "\n".join(map(str, range(100)))
    assert clipped(text, 2) == "0\n1\n… 98 more lines"
    assert clipped(text, 2, last=True) == "… 98 more lines\n98\n99"
    assert clipped("a\nb\n", 2) == "a\nb"
    assert len(clipped("x" * 1_000_000, 2)) < 5000
