"""Bars: in a notebook, on a terminal and as lines, and how what is counted is looked at."""

from __future__ import annotations

import sys
import threading

import pytest

from omruntime.pictures import Count, follow, polled, progress
from tests.cli.test_terminal import _Terminal
from tests.pictures.notebook import Notebook


def counts(total: int, failed: int = 0) -> list[Count]:
    return [Count(done, total, min(done, failed)) for done in range(total + 1)]


def test_elsewhere_there_are_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    follow("map", counts(10_000, failed=500))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "map: 0 of 10000"
    assert "map: 1 of 10000, 1 failed" in lines
    assert lines[-1] == "map: 10000 of 10000, 500 failed"
    assert len(lines) <= 25
    follow("nothing", [Count(0, 0)])
    assert capsys.readouterr().err == "nothing: 0 of 0\n"


def test_a_terminal_shows_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal("3 failed")
    monkeypatch.setattr(sys, "stderr", terminal)
    follow("map [all] {0}", counts(40, failed=3))
    shown = terminal.getvalue()
    assert "40 of 40" in shown
    assert "3 failed" in shown
    assert "map [all] {0}" in shown


def test_a_notebook_changes_one_output_and_not_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook(monkeypatch)
    monkeypatch.setattr(progress, "_INTERVAL", 1000.0)
    follow("map", counts(10_000, failed=2))
    (shown,) = notebook.outputs.values()
    assert shown["text/plain"] == "map: 10000 of 10000, 2 failed"
    assert "10000 of 10000, 2 failed" in shown["text/html"]
    assert notebook.published == 2


def test_what_ends_early_shows_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook(monkeypatch)
    monkeypatch.setattr(progress, "_INTERVAL", 1000.0)
    follow("map", [Count(0, 5), Count(1, 5), Count(2, 5)])
    (shown,) = notebook.outputs.values()
    assert shown["text/plain"] == "map: 2 of 5"
    follow("nothing at all", [])
    assert len(notebook.outputs) == 1


def test_an_interrupt_ends_the_watching(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> Count:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow("map", polled(interrupted))
    assert capsys.readouterr().err == ""


def test_a_look_is_taken_when_something_has_changed() -> None:
    changed, done = threading.Event(), [0]
    seen = polled(lambda: Count(done[0], 2), changed, interval=1000.0)
    assert next(seen) == Count(0, 2)
    # What happens between two looks is not missed.
    done[0] = 1
    changed.set()
    assert next(seen) == Count(1, 2)
    done[0] = 2
    changed.set()
    assert list(seen) == [Count(2, 2)]


def test_without_a_word_it_looks_again_by_itself() -> None:
    looks = iter(range(4))
    assert [count.done for count in polled(lambda: Count(next(looks), 3), interval=0.001)] == [0, 1, 2, 3]
