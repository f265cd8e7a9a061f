from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from omruntime_conformance import Fault, load_rules
from omruntime_conformance.cli import main
from omruntime_conformance.contract import contract_page
from omruntime_conformance.failure import DOCS, rule_link

from omruntime.abc import Capability

PAGE = Path(__file__).parents[2] / DOCS


def test_the_page_is_that_of_the_rules() -> None:
    fresh = contract_page(load_rules().values())
    assert PAGE.read_text() == fresh, f"{DOCS} is stale; run: omruntime-conformance contract -o {DOCS}"


def test_every_link_of_a_failure_leads_to_its_rule() -> None:
    headings = {line for line in PAGE.read_text().splitlines() if line.startswith("### ")}
    assert headings == {f"### {id}" for id in load_rules()}
    for rule in load_rules().values():
        # A heading that is nothing but the id has the id as its anchor, on the site and on GitHub.
        assert rule_link(rule) == f"{DOCS}#{rule.id.lower()}"


def test_a_rule_says_what_it_needs() -> None:
    rule = dataclasses.replace(
        load_rules()["RES-001"],
        text="Why it is there.",
        capability=Capability.DETACHED,
        without=Capability.NESTED_WAIT,
        rests_on=("RES-004",),
        own_cluster=True,
        faults=(Fault.NODE,),
    )
    page = contract_page([rule])
    assert f"## Results\n\n### RES-001\n\n**{rule.sentence}**\n\nWhy it is there.\n\n- Needs" in page
    for fact in ("`DETACHED`", "`NESTED_WAIT`", "[RES-004](#res-004)", "cluster of its own", "`kill_node`"):
        assert fact in page


def test_an_area_needs_a_heading() -> None:
    with pytest.raises(ValueError, match="XYZ has no heading"):
        contract_page([dataclasses.replace(load_rules()["RES-001"], id="XYZ-001")])


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract"]) == 0
    assert capsys.readouterr().out == PAGE.read_text()
    assert main(["contract", "-o", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == PAGE.read_text()
    assert main(["contract", "-o", str(tmp_path / "nowhere" / "page.md")]) == 2
    assert "cannot write" in capsys.readouterr().err
