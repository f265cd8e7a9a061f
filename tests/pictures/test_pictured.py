"""Whatever has a picture shows it anywhere, and neither raises nor keeps anybody."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from rich.console import Console

from omruntime.pictures import Picture, Pictured, pictured
from tests.pictures.notebook import Notebook


class Thing(Pictured):
    def __init__(self, picture: Callable[[], Picture]) -> None:
        self._make = picture

    def _picture(self) -> Picture:
        return self._make()

    def __repr__(self) -> str:
        return "<the thing>"


def fine() -> Picture:
    return Picture("a fine thing", status="SUCCESS")


def broken() -> Picture:
    raise KeyError("redis://u:secret@h")


def test_a_picture_is_shown_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Thing(fine).show()
    Console(width=80).print(Thing(fine))
    out = capsys.readouterr().out
    assert out.count("✓ SUCCESS  a fine thing") == 2


def test_in_a_notebook_it_is_html(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = Notebook(monkeypatch)
    Thing(fine).show()
    assert capsys.readouterr().out == ""
    (shown,) = notebook.outputs.values()
    assert "a fine thing" in shown["text/html"]
    assert shown["text/plain"] == "<the thing>"
    assert Thing(fine)._repr_html_() == shown["text/html"]


def test_what_cannot_be_shown_says_why_and_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Thing(broken)._repr_html_()
    Thing(broken).show()
    for text in (shown.replace("&lt;", "<").replace("&gt;", ">"), capsys.readouterr().out):
        assert "KeyError" in text
        assert "<the thing>" in text
        assert "secret" not in text


def test_whoever_looks_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictured, "PATIENCE", 0.01)
    away = threading.Event()

    def blocked() -> Picture:
        away.wait()
        return fine()

    assert "has not answered" in Thing(blocked)._repr_html_()
    away.set()
