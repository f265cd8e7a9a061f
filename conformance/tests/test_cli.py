from __future__ import annotations

import pytest
from omruntime_conformance.cli import main


def test_list_has_every_rule_and_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "RES-004  get() returns the value as often as it is asked." in lines
    assert lines[-1] == f"{len(lines) - 1} rules"


def test_explain_shows_sentence_reason_and_proof(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "res-003"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("RES-003  STARTED can be seen while a task runs.\nThe claim is durable")
    assert "pytest -k RES-003" in text
    assert "def started_can_be_seen(ctx: Context)" in text


@pytest.mark.parametrize(("id", "near"), [("RES-999", "RES-001"), ("nonsense", "DAT")])
def test_a_wrong_id_gets_a_suggestion(id: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", id]) == 2
    assert near in capsys.readouterr().err
