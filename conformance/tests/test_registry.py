from __future__ import annotations

import re
from typing import Any

import pytest
from omruntime_conformance import Fault, Rule, load_rules
from omruntime_conformance.context import Context
from omruntime_conformance.registry import Registry

from omruntime.abc import Capability

IDS = """
    RES-001 RES-002 RES-003 RES-004 RES-005 RES-006 RES-007 RES-008 RES-009
    ERR-001 ERR-002 ERR-003 ERR-004 ERR-005 ERR-006 ERR-007 ERR-008
    MOD-001 MOD-002 MOD-003 MOD-004 MOD-005 MOD-006 MOD-007 MOD-009 MOD-010 MOD-011
    SCR-001 SCR-002 SCR-003 SCR-004 SCR-005 SCR-007
    DAT-001 DAT-002 DAT-003 SEC-001 SEC-002 SEC-003 SEC-004 PLG-001 PLG-002
    LIF-001 LIF-002 LIF-003 LIF-004 FLT-001 FLT-002 FLT-005 FLT-008
    RES-011 RES-012 ERR-009 FLT-006 LAW-001 LAW-002 LAW-003
    CAN-001 CAN-002 CAN-003 CAN-004 CAN-005 CAN-006 CAN-007 CAN-008 CAN-009 CAN-010 CAN-011 CAN-012 CAN-013 CAN-014
    CAN-015 CAN-016 CAN-017 CAN-018 CAN-019 CAN-020 CAN-021 CAN-022 CAN-023 CAN-024 CAN-025
"""


def proves(ctx: Context) -> None:
    """It holds.

    Because it must.
    """


def wordless(ctx: Context) -> None:
    pass


def half_said(ctx: Context) -> None:
    """It holds"""  # noqa: D415


def test_no_rule_has_gone() -> None:
    # Ids are for ever: one that is published stays, so this list only grows.
    assert set(IDS.split()) <= set(load_rules())


def test_a_rule_is_its_docstring() -> None:
    registry = Registry()
    assert registry.rule("TST-001", rests_on=("TST-001",))(proves) is proves
    rule = registry.rules["TST-001"]
    assert (rule.name, rule.sentence, rule.text) == ("proves", "It holds.", "Because it must.")
    assert (str(rule), rule.area) == ("TST-001-proves", "TST")


def test_an_id_is_used_once() -> None:
    registry = Registry()
    registry.rule("TST-001")(proves)
    with pytest.raises(ValueError, match="already the rule proves"):
        registry.rule("TST-001")(proves)


@pytest.mark.parametrize("id", ["TST-1", "tst-001", "TEST-001", "TST-0011", ""])
def test_an_id_has_a_form(id: str) -> None:
    with pytest.raises(ValueError, match="no rule id"):
        Registry().rule(id)


@pytest.mark.parametrize("body", [wordless, half_said])
def test_a_rule_needs_a_sentence(body: object) -> None:
    with pytest.raises(ValueError, match="must be the rule's sentence"):
        Registry().rule("TST-001")(body)  # type: ignore[arg-type]


def test_a_capability_needs_a_refusal() -> None:
    with pytest.raises(ValueError, match="needs a refusal"):
        Registry().rule("TST-001", capability=Capability.TIME_LIMIT)
    with pytest.raises(ValueError, match="needs a refusal"):
        Registry().rule("TST-001", refusal=proves)


def test_a_foundation_must_exist() -> None:
    registry = Registry()
    for number, each in enumerate(Capability, 2):
        registry.rule(f"TST-{number:03}", capability=each, refusal=proves)(proves)
    registry.rule("TST-001", rests_on=("TST-404",))(proves)
    with pytest.raises(ValueError, match="TST-001 rests on TST-404"):
        registry.check()


def test_a_capability_must_be_tested() -> None:
    registry = Registry()
    registry.rule("TST-001", capability=Capability.DETACHED, refusal=proves)(proves)
    with pytest.raises(ValueError, match="no rule tests CANCEL_RUNNING, NESTED_WAIT, TIME_LIMIT"):
        registry.check()
    for number, each in enumerate(Capability, 2):
        registry.rule(f"TST-{number:03}", capability=each, refusal=proves)(proves)
    registry.check()


@pytest.mark.parametrize("more", [{"own_cluster": True}, {"faults": (Fault.NODE,)}, {"exact": True}])
def test_what_breaks_a_cluster_is_not_independent(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not independent"):
        Registry().rule("TST-001", independent=True, **more)


def test_foundations_run_first_and_breakers_last() -> None:
    registry = Registry()
    registry.rule("TST-001", own_cluster=True)(proves)
    registry.rule("TST-002", rests_on=("TST-003",))(proves)
    registry.rule("TST-003")(proves)
    assert [rule.id for rule in registry.in_order()] == ["TST-003", "TST-002", "TST-001"]


def test_every_rule_of_the_suite_reads_well() -> None:
    for rule in load_rules().values():
        assert isinstance(rule, Rule)
        assert re.match(r"['A-Za-z0-9@]", rule.sentence)
        assert "_" not in rule.name[:1]
        assert rule.text.endswith("."), f"{rule.id} does not say why it matters; that is what 'explain' is asked for"
