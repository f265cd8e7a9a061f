"""workers and backends: what is there, and what is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import omruntime


def _install(place: Path, name: str, module: str, code: str) -> None:
    """Make a distribution with an engine's entry point."""
    (place / f"{module}.py").write_text(code)
    info = place / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[omruntime.backends]\n{name} = {module}\n")


def test_workers_are_listed(store: str) -> None:
    found = omruntime("workers", "--json").json
    assert found
    assert all(each["name"].startswith("local@") and each["labels"] == ["default"] for each in found)
    told = omruntime("workers")
    assert told.out.count("local@") == len(found)
    assert "local://" in told.err


def test_engines_are_listed_with_what_they_can_do() -> None:
    row = next(each for each in omruntime("backends", "--json").json if each["name"] == "local")
    assert row["capabilities"] == ["CANCEL_RUNNING", "NESTED_WAIT", "TIME_LIMIT"]
    assert row["schemes"] == ["local"]
    assert row["error"] == ""
    assert "CANCEL_RUNNING" in omruntime("backends").out


@pytest.mark.parametrize(
    ("code", "why"),
    [("raise RuntimeError('no libfoo')", "no libfoo"), ("api_version = 99", "99"), ("api_version = 1", "broken")],
)
def test_a_broken_engine_breaks_nothing_else(
    code: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"broken_engine_{abs(hash(code))}"
    _install(tmp_path, "shaky", module, code)
    monkeypatch.syspath_prepend(tmp_path)
    ran = omruntime("backends", "--json")
    assert ran.code == 0
    rows = {each["name"]: each for each in ran.json}
    assert rows["local"]["error"] == ""
    assert why in rows["shaky"]["error"]
    told = omruntime("backends").out
    assert "shaky" in told
    assert why in told
