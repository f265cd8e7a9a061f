"""What the suite says of engines that can do little, do more than they say, or lie."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from omruntime_conformance import load_rules
from omruntime_conformance.cli import main
from omruntime_conformance.report import Outcome, Report, Status, read_report

from omruntime.abc import Capability

# By name: mypy knows this folder as another package than pytest does.
ENGINES: Any = import_module("conformance.tests.broken_engines")
Ran = Callable[..., dict[str, Outcome]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Run rules on an engine of `broken_engines`, and return how they ended."""
    ENGINES.registered(tmp_path, monkeypatch)

    def run(target: str, *rules: str) -> dict[str, Outcome]:
        report = tmp_path / "report.json"
        main(["run", target, "--rules", ",".join(rules), "--json", str(report)])
        found: Report = read_report(report)
        return {each.rule: each for each in found.outcomes if each.status is not Status.NOT_RUN}

    return run


OF_CAPABILITIES = [each for each in load_rules().values() if each.capability is not None or each.without is not None]


def test_every_capability_is_tested() -> None:
    assert {each.capability for each in OF_CAPABILITIES} == {*Capability, None}


@pytest.mark.timeout(300)
def test_what_is_not_declared_is_refused(run: Ran) -> None:
    outcomes = run("minimal://", *(each.id for each in OF_CAPABILITIES), "MOD-008", "PLG-003", "RES-002")
    expected = {each.id: Status.REFUSED if each.capability else Status.PASSED for each in OF_CAPABILITIES}
    expected |= {"RES-010": Status.REPLACED, "MOD-008": Status.PASSED, "PLG-003": Status.PASSED}
    expected |= {"RES-002": Status.PASSED}
    assert {id: each.status for id, each in outcomes.items()} == expected
    assert outcomes["RES-010"].reason == "the engine's work dies with its client: LIF-004 holds instead"


WORK_ANYWAY = {
    "CXL-002": Capability.CANCEL_RUNNING,
    "CXL-003": Capability.TIME_LIMIT,
    "SCR-006": Capability.NESTED_WAIT,
}


def test_what_works_although_it_is_not_declared_fails(run: Ran) -> None:
    outcomes = run("anyway://", *WORK_ANYWAY)
    for id, capability in WORK_ANYWAY.items():
        assert outcomes[id].status is Status.FAILED
        assert capability.name in outcomes[id].reason
        assert "did not refuse the call: declare it, or raise" in outcomes[id].reason


def test_work_that_goes_on_although_that_is_not_declared_fails(run: Ran) -> None:
    (outcome,) = run("goeson://", "LIF-004").values()
    assert outcome.status is Status.FAILED


@pytest.mark.timeout(300)
def test_rules_count_the_slots_that_there_are(run: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMRUNTIME_KEY", "key of a cluster that was there before")
    counting = ("RES-002", "CAN-003", "CAN-014", "CAN-018", "SCR-002", "SCR-003", "SCR-006", "MOD-003", "CXL-001")
    outcomes = run(f"{ENGINES.__name__}:Larger", *counting, "LBL-001", "LBL-002")
    assert {outcomes[id].status for id in counting} == {Status.PASSED}
    assert outcomes["LBL-001"].reason == "it needs 1 slots with the label big,gpu, the cluster has 0"
    assert outcomes["LBL-002"].reason.startswith("it needs workers with big,gpu x 1, default x 1, gpu x 1")


def test_labels_that_workers_do_not_have_are_noticed(run: Ran) -> None:
    (outcome,) = run("mislabelled://", "LBL-001").values()
    assert outcome.status is Status.FAILED
    assert "ran on a worker without" in outcome.reason


def test_an_engine_that_gives_the_results_of_other_tasks_does_no_harm(run: Ran) -> None:
    # Whoever is given another one's sees it by the signature, and asks the ledger.
    (outcome,) = run("swapping://", "RES-001").values()
    assert outcome.status is Status.PASSED


def test_more_than_the_class_declares_is_noticed(run: Ran) -> None:
    (outcome,) = run("boasting://", "PLG-003").values()
    assert "Boasting.capabilities lacks DETACHED" in outcome.reason


def test_an_address_with_a_password_is_noticed(run: Ran) -> None:
    (outcome,) = run("talkative://", "PLG-003").values()
    assert "a password is in 'talkative://user:***@" in outcome.reason
    assert "sesame" not in outcome.reason


def test_an_engine_that_cannot_be_imported_is_named(run: Ran) -> None:
    outcomes = run("unimportable://", "RES-001", "CAN-004")
    assert {each.status for each in outcomes.values()} == {Status.BLOCKED}
    for said in ("'unimportable' is installed (broken-engines 1.0)", "no_such_module_of_an_engine", "reinstall it"):
        assert said in outcomes["RES-001"].reason
