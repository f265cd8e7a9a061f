"""Where the stores of a rule lie: what is taken away from them comes back, and what they keep can be looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from omruntime_conformance import Harness, NotExercised, stores
from omruntime_conformance.cli import main
from omruntime_conformance.local import LocalHarness
from omruntime_conformance.report import Status, read_report
from omruntime_conformance.storage import Stores
from omruntime_conformance.stores import LocalMongoHarness

from omruntime import Auth, Omega
from omruntime.errors import StoreUnavailable

AUTH = Auth("tester", "a key for tests that protects nothing")


@pytest.fixture(params=[LocalHarness, pytest.param(LocalMongoHarness, marks=pytest.mark.mongodb)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    harness: Harness = request.param()
    with ExitStack() as stack:
        try:
            given = stack.enter_context(harness.storage(tmp_path))
        except NotExercised as exc:
            pytest.skip(f"not exercised: {exc}")
        yield given


def test_each_name_is_a_store_of_its_own(place: Stores) -> None:
    with Omega(place.url(), auth=AUTH) as om, Omega(place.url("other"), auth=AUTH) as other:
        om.datasets.put([1], "mine")
        assert (om.datasets.list(), other.datasets.list()) == (["mine"], [])
        assert om.store.url == place.url()


def test_content_goes_and_comes_back(place: Stores) -> None:
    content = os.urandom(1_000_000)
    with Omega(place.url(), auth=AUTH) as om:
        om.datasets.put(content, "big")
        with place.without_content():
            assert om.datasets.list() == ["big"]
            with pytest.raises(StoreUnavailable):
                om.datasets.get("big")
        assert om.datasets.get("big") == content


def test_what_it_keeps_can_be_looked_through(place: Stores) -> None:
    with Omega(place.url(), auth=AUTH) as om:
        om.datasets.put([1], "by-this-name")
        assert any(b"by-this-name" in each for each in place.raw())
        assert not any(b"no-such-name" in each for each in place.raw())


def test_a_store_that_is_gone_comes_back(place: Stores) -> None:
    with Omega(place.url(), auth=AUTH) as om:
        om.datasets.put([1], "before")
        with place.gone():
            pass
        om.datasets.put([2], "after")
        assert [om.datasets.get(name) for name in ("before", "after")] == [[1], [2]]


LOGS_IN = """
from omruntime_conformance.stores import LocalMongoHarness

class LogsIn(LocalMongoHarness):
    login = "ann", "pa55/w0rd@of:ann"
"""


@pytest.mark.mongodb
def test_the_password_of_a_store_is_one_of_the_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logs_in.py").write_text(LOGS_IN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    code = main(["run", "logs_in:LogsIn", "--rules", "SEC-002", "--json", "report.json"])
    (outcome,) = [each for each in read_report(tmp_path / "report.json").outcomes if each.rule == "SEC-002"]
    if outcome.status is Status.NOT_EXERCISED:
        pytest.skip(f"not exercised: {outcome.reason}")
    assert (code, outcome.status) == (0, Status.PASSED), outcome.reason


@pytest.mark.mongodb
def test_databases_of_a_rule_go_with_it(tmp_path: Path) -> None:
    harness = LocalMongoHarness()
    try:
        with harness.storage(tmp_path) as place, Omega(url := place.url(), auth=AUTH) as om:
            om.datasets.put([1], "mine")
    except NotExercised as exc:
        pytest.skip(f"not exercised: {exc}")
    with harness.storage(tmp_path) as place:
        assert place.url() != url
    with Omega(url, auth=AUTH) as om:
        assert om.datasets.list() == []


def test_without_a_server_it_asks_once_and_every_rule_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def absent() -> None:
        asked.append(1)
        raise NotExercised("there is no Go")

    stores._server.cache_clear()
    monkeypatch.setattr(stores, "mongodb_server", absent)
    try:
        for _ in range(2):
            with pytest.raises(NotExercised, match="there is no Go"), LocalMongoHarness().storage(tmp_path):
                pass
    finally:
        stores._server.cache_clear()
    assert asked == [1]
