"""Pictures of tasks: right in every state, whatever became of value and store."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omruntime import AsyncResult, Omega
from omruntime.client import portrait
from omruntime.ledger import Request, new_id
from omruntime.pictures import Picture, Table, Text, pictured
from tests.ledger.made import claim
from tests.worker.gates import Gate, run, value


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictured, "PATIENCE", 60.0)


def facts(picture: Picture) -> dict[str, str]:
    return {name: text for name, text in picture.facts if text}


def texts(picture: Picture) -> dict[str, str]:
    return {each.title: each.text for each in picture.sections if isinstance(each, Text)}


def found(handle: AsyncResult, om: Omega) -> AsyncResult:
    return om.runtime.result(handle.id)


def test_a_task_that_waits_and_one_that_runs(om: Omega, gate: Gate) -> None:
    running = run(om, "held", 1, **gate.arguments)
    gate.wait_for_start()
    waiting = run(om, "echo", 1)
    for handle in (running, found(running, om)):
        shown = handle._picture()
        assert (shown.title, shown.status, shown.sections) == ("script.run held", "STARTED", [])
        assert list(facts(shown)) == ["id", "worker", "label", "submitted", "started", "running for"]
        assert facts(shown)["worker"].startswith("local@")
    for handle in (waiting, found(waiting, om)):
        shown = handle._picture()
        assert (shown.title, shown.status, shown.sections) == ("script.run echo", "PENDING", [])
        assert list(facts(shown)) == ["id", "label", "submitted", "waiting for"]
        assert "omruntime-alive" in handle._repr_html_()
    gate.open()
    waiting.get(60)


def test_a_script_shows_its_result_its_arguments_and_its_output(om: Omega) -> None:
    handle = run(om, "echo", {"a": [1, 2]})
    value(handle)
    shown = handle._picture()
    assert shown.status == "SUCCESS"
    assert list(facts(shown)) == ["id", "worker", "submitted", "started", "ended"]
    assert texts(shown) == {
        "result": "{'a': [1, 2]}",
        "arguments": "{'args': [{'a': [1, 2]}]}",
        "output, 1 line": "echo of {'a': [1, 2]}",
    }
    assert found(handle, om)._picture() == shown


def test_a_frame_shows_its_rows(om: Omega) -> None:
    handle = run(om, "echo", pd.DataFrame({"x": range(9)}))
    value(handle)
    table = handle._picture().sections[0]
    assert isinstance(table, Table)
    assert table.title == "result: 9 rows, 1 column"


def test_a_failure_shows_the_error_and_where_it_was_raised(om: Omega) -> None:
    handle = run(om, "fails", "<b>reason</b>", require={"retries": 1})
    assert isinstance(handle.future().exception(60), ValueError)
    shown = handle._picture()
    assert (shown.status, facts(shown)["attempt"]) == ("FAILURE", "2")
    assert texts(shown)["error"] == "ValueError: <b>reason</b>"
    assert "raise ValueError(data)" in texts(shown)["traceback"]
    html = handle._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;reason" in html
    assert "<details" in html


def test_a_cancelled_task_is_no_error(om: Omega) -> None:
    handle = run(om, "echo", 1, require={"label": "gpu"})
    handle.cancel()
    (why,) = handle._picture().sections
    assert isinstance(why, Text)
    assert "was cancelled" in why.text
    assert not why.bad


def test_a_large_value_is_not_read(om: Omega, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = run(om, "echo", np.zeros(100_000))
    value(handle)
    assert "ndarray of 100000" in handle._picture().sections[0].title
    monkeypatch.setattr(portrait, "LARGEST", 100_000)
    monkeypatch.setattr(AsyncResult, "read", None)
    assert texts(handle._picture())["value"] == "800 kB, which get() reads"


def test_what_is_gone_says_so(om: Omega, tmp_path: Path) -> None:
    handle, kept = run(om, "echo", np.zeros(10_000)), run(om, "echo", 1)
    value(handle), value(kept)
    end = om.session.ledger.state(handle.id).end
    assert end is not None
    om.store.delete_blobs(end.blobs)
    assert "StoreUnavailable" in texts(handle._picture())["the value cannot be read"]
    handle.forget()
    assert "ResultExpired" in handle._repr_html_()
    om.close()
    assert "RuntimeClosed" in kept._repr_html_()
    shutil.rmtree(tmp_path / "store")


def test_a_task_of_another_process_is_shown_as_the_ledger_knows_it(om: Omega) -> None:
    task = new_id()
    om.session.ledger.submit([(task, Request("job.run n", "gpu", [], 0.0, engine="dask://u:secret@h"))])
    om.session.ledger.claim(task, claim("h-elsewhere"))
    shown = om.runtime.result(task)
    assert shown._picture().status == "STARTED"
    assert "secret" not in shown._repr_html_()


def test_show_prints_the_same(om: Omega, capsys: pytest.CaptureFixture[str]) -> None:
    handle = run(om, "echo", "a value")
    value(handle)
    handle.show()
    out = capsys.readouterr().out
    assert "✓ SUCCESS  script.run echo" in out
    assert "a value" in out
    assert handle.id in out
