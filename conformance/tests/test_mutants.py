"""The wrong runtimes: that each is what it says, and that the command tells what became of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from omruntime_conformance import load_rules
from omruntime_conformance.cli import main
from omruntime_conformance.cli.mutants import chosen_mutants
from omruntime_conformance.mutants import registry
from omruntime_conformance.mutants.keeping import keep, kept
from omruntime_conformance.mutants.page import mutants_page
from omruntime_conformance.mutants.registry import AREAS, Mutant, Patch, load_mutants, missing_targets, mutant
from omruntime_conformance.mutants.trial import Finding, Scope, rules_without
from omruntime_conformance.report import Outcome, Status


def test_every_rule_has_a_mutant() -> None:
    assert rules_without(load_mutants().values(), load_rules().values()) == []


def test_every_mutant_is_of_a_rule_and_lives_with_its_area() -> None:
    rules = load_rules()
    for each in load_mutants().values():
        assert each.rule in rules, f"{each} is to be noticed by a rule that there is not"
        assert each.apply.__module__.rpartition(".")[2] in AREAS[each.rule[:3]]


def test_the_first_of_each_rule_can_be_chosen() -> None:
    rules = [rule for rule in load_rules().values() if rule.area in ("CAN", "RES")]
    every, first = chosen_mutants(rules), chosen_mutants(rules, first=True)
    assert len(first) == len(rules) < len(every)
    assert all(next(each for each in every if each.rule == chosen.rule) is chosen for chosen in first)
    assert first == sorted(first, key=every.index)


@pytest.mark.parametrize("name", sorted(load_mutants()))
def test_what_a_mutant_wraps_is_there(name: str) -> None:
    assert missing_targets(load_mutants()[name]) == []


@pytest.fixture
def own_mutants(monkeypatch: pytest.MonkeyPatch) -> dict[str, Mutant]:
    """Have the mutants of one test beside the others."""
    mine = dict(load_mutants())
    monkeypatch.setattr(registry, "_MUTANTS", mine)
    monkeypatch.setattr(registry, "MUTANTS", mine)
    return mine


def wraps_nothing(patch: Patch) -> None:
    """It wraps what is not there."""

    @patch("omruntime.client.omega:Omega.no_such_method")
    def method(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any: ...

    @patch("omruntime.no_such_module:function")
    def function(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any: ...

    @patch.module("omruntime.no_such_module")
    def change(module: Any) -> None: ...


def changes_nothing(patch: Patch) -> None:
    """It is like any other."""


def test_a_mutant_of_what_is_not_there_is_told(
    own_mutants: dict[str, Mutant], capsys: pytest.CaptureFixture[str]
) -> None:
    mutant("PLG-001")(wraps_nothing)
    made = own_mutants["PLG-001-wraps_nothing"]
    nothing = "omruntime.no_such_module"
    assert missing_targets(made) == ["omruntime.client.omega:Omega.no_such_method", f"{nothing}:function", nothing]
    assert main(["mutants", "--rules", "PLG-001", "--scope", "own"]) == 2
    assert "PLG-001-wraps_nothing wraps omruntime.client.omega:Omega.no_such_method" in capsys.readouterr().err


def test_a_mutant_is_made_once_and_says_what_is_wrong(own_mutants: dict[str, Mutant]) -> None:
    mutant("PLG-001")(changes_nothing)
    assert own_mutants["PLG-001-changes_nothing"].sentence == "It is like any other."
    with pytest.raises(ValueError, match="is there already"):
        mutant("PLG-001")(changes_nothing)
    with pytest.raises(ValueError, match="must be a sentence"):
        mutant("PLG-001")(lambda patch: None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scope", "half"], "is not one of"),
        (["--rules", "XYZ-001"], "no rule and no area XYZ-001"),
    ],
)
def test_what_cannot_be_carried_out(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mutants", *words]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.timeout(110)
def test_the_command_tells_who_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, file = tmp_path / "mutants.md", tmp_path / "findings.jsonl"
    words = ["mutants", "--rules", "PLG-001", "--keep", str(file), "-o", str(page)]
    assert main(words) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("1/1  PLG-001-all_engines_are_imported  noticed in ")
    assert "also noticed by PLG-002" in first
    assert last == "1 mutants of 1 rules: 1 noticed by their own rule, 0 not; rules without a mutant: 0"
    written = page.read_text()
    assert "| [PLG-001](contract.md#plg-001) | `all_engines_are_imported` |" in written
    page.unlink()
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == [last], "what is kept is not tried again"
    assert page.read_text() == written


def test_only_what_was_said_then_is_taken_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "findings.jsonl"
    made = Mutant("RES-001", "broken", "It is broken.", changes_nothing)
    assert kept(path, [made], Scope.OWN) == []
    finding = Finding(made, {"RES-001": Outcome("RES-001", Status.FAILED, "it failed")})
    keep(finding, Scope.OWN, path)
    assert kept(path, [made], Scope.OWN) == [finding]
    assert kept(path, [made], Scope.FULL) == []
    assert kept(path, [replace(made, sentence="It is broken otherwise.")], Scope.OWN) == []
    keep(Finding(made, {"RES-001": Outcome("RES-001", Status.PASSED)}), Scope.OWN, path)
    assert kept(path, [made], Scope.OWN) == [], "it was not noticed, so it has to be tried again"
    path.write_text("nonsense\n")
    with pytest.raises(ValueError, match="holds no findings of mutants"):
        kept(path, [made], Scope.OWN)


@pytest.mark.timeout(110)
def test_a_mutant_that_nobody_notices_fails_the_command(
    own_mutants: dict[str, Mutant], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [each for each in own_mutants if each.startswith("PLG-")]:
        del own_mutants[name]
    monkeypatch.setattr(registry, "PRELOAD", Path(__file__).parent)
    mutant("PLG-001")(changes_nothing)
    assert main(["mutants", "--rules", "PLG-001,PLG-002", "--scope", "own"]) == 1
    out = capsys.readouterr().out
    assert "PLG-001-changes_nothing  NOT NOTICED by PLG-001, which ended as passed" in out
    assert "PLG-001-changes_nothing: It is like any other. PLG-001 must fail on it" in out
    assert out.splitlines()[-1].endswith("0 noticed by their own rule, 1 not; rules without a mutant: 1 PLG-002")


def test_the_page_links_rules_and_says_which_have_not_noticed() -> None:
    caught = Finding(
        Mutant("RES-002", "broken", "It is | broken.", changes_nothing),
        {
            "RES-002": Outcome("RES-002", Status.FAILED, seconds=119.0),
            "RES-001": Outcome("RES-001", Status.PASSED),
            "CAN-001": Outcome("CAN-001", Status.BLOCKED),
        },
    )
    missed = Finding(
        Mutant("RES-001", "broken", "It is broken too.", changes_nothing),
        {"RES-001": Outcome("RES-001", Status.PASSED)},
    )
    page = mutants_page([caught, missed], Scope.FULL, date(2026, 1, 2))
    assert "On 2026-01-02 each of 2 mutants of 2 rules was run against every rule. 1 were noticed" in page
    assert "`omruntime-conformance mutants --scope full -o docs/mutants.md`" in page
    assert page.splitlines()[-4:] == [
        "| [RES-001](contract.md#res-001) **did not notice** | `broken` | It is broken too. | none |",
        "| [RES-002](contract.md#res-002) | `broken` | It is &#124; broken. | [CAN-001](contract.md#can-001) |",
        "",
        "These 4 runs of rules, one after the other, take 2 minutes.",
    ]


@pytest.mark.parametrize(
    ("scope", "taken"),
    [
        (Scope.OWN, set()),
        (Scope.BESIDE, {"FLT-005"}),
        (Scope.AREA, {"FLT-001", "FLT-003", "FLT-005"}),
        (Scope.FULL, {"FLT-001", "FLT-003", "FLT-005", "RES-001"}),
    ],
)
def test_how_far_a_mutant_is_looked_for(scope: Scope, taken: set[str]) -> None:
    rules = load_rules()
    others = ("FLT-001", "FLT-003", "FLT-005", "RES-001")
    assert {id for id in others if scope.takes(rules["FLT-008"], rules[id])} == taken
