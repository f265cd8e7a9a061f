"""What only a terminal or a pipe shows: the bar, and a reader that has left."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading

import pytest

from omruntime import Omega
from omruntime.cli import progress
from omruntime.cli.board import Board
from omruntime.cli.following import following
from omruntime.cli.progress import working
from omruntime.ledger import Request, new_id
from tests.ledger.made import claim, end


class _Terminal(io.StringIO):
    """A terminal that tells when something was written on it."""

    def __init__(self, expected: str) -> None:
        super().__init__()
        self.shown = threading.Event()
        self._expected = expected

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        count = super().write(text)
        if self._expected in self.getvalue():
            self.shown.set()
        return count


def test_a_bar_shows_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal("fit [clf]")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    with working("fit [clf]"):
        assert terminal.shown.wait(30)


def test_no_bar_for_what_is_quick_or_not_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with working("fit"):
        assert "omruntime-bar" not in {each.name for each in threading.enumerate()}
    terminal = _Terminal("fit")
    monkeypatch.setattr(sys, "stderr", terminal)
    with working("fit"):
        pass
    assert terminal.getvalue() == ""
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_a_table_of_the_task_until_its_end(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal("STARTED")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    with Omega(store) as om:
        board = Board(om)
        task = new_id()
        om.session.ledger.submit([(task, Request("script.run slow", "default", [], 0.0))])
        board.add(om.runtime.result(task))
        with following(board):
            om.session.ledger.claim(task, claim("h-elsewhere"))
            assert terminal.shown.wait(30)
            om.session.ledger.end(task, 1, end("FAILURE", name="script.run slow"))
        om.session.ledger.remove_requests([task])
    shown = terminal.getvalue().splitlines()
    rows = [line for line in shown if task in line]
    assert "script.run slow" in rows[-1]
    assert "FAILURE" in rows[-1]


def test_a_board_shows_what_was_last_known_while_its_store_is_away(store: str) -> None:
    with Omega(store) as om:
        handle = om.runtime.script("echo").run(1)
        handle.get(60)
        board = Board(om, [handle])
        known = board.rows()
    assert known[0]["status"] == "SUCCESS"
    assert board.rows() == known


def test_a_reader_that_has_left_is_no_error(store: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "omruntime", "ls", "--json"],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
