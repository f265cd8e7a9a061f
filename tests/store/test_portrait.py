"""Pictures of metadata: what is stored, what is noted about it, and its versions."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from omruntime import Omega
from omruntime.pictures import Table, pictured


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictured, "PATIENCE", 60.0)


def tables(meta: Any) -> dict[str, Table]:
    return {each.title: each for each in meta._picture().sections}


def test_metadata_shows_what_is_noted_and_no_secret(store_url: str) -> None:
    noted = {"source": "postgres://me:secret@db/x", "db": {"password": "secret"}, "<i>n</i>": 3}
    with Omega(store_url) as om:
        meta = om.datasets.put([1, 2], "numbers", attributes=noted)
        shown = meta._picture()
        assert (shown.title, shown.what) == ("numbers", "dataset")
        assert [name for name, text in shown.facts if text] == ["kind", "bucket", "created", "modified"]
        assert list(tables(meta)) == ["attributes"]
        html = meta._repr_html_()
    assert "secret" not in html
    assert "&lt;i&gt;n&lt;/i&gt;" in html
    assert "<i>" not in html


def test_a_model_shows_its_versions(store_url: str) -> None:
    with Omega(store_url) as om:
        for tag in ("first", None, "third"):
            om.models.put({"a": tag}, "m", tag=tag)
        latest, before = om.models.metadata("m"), om.models.metadata("m^")
        assert dict(latest._picture().facts)["version"] == "3 of 3"
        assert dict(before._picture().facts)["version"] == "2 of 3"
        rows = tables(before)["versions"].rows
        assert [tuple(row[:2]) for row in rows] == [("3", "third"), ("2", ""), ("1", "first")]
        apart = pickle.loads(pickle.dumps(latest))
        assert dict(apart._picture().facts)["version"] == ""
    closed = latest._repr_html_()
    assert "cannot be listed now" in closed
    assert "python.pickle" in closed
