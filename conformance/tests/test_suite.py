from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from omruntime_conformance import Fault, Harness, KnownFailure, RuntimeConformance
from omruntime_conformance.local import LocalHarness


def subclass(**body: Any) -> type:
    return type("TestMine", (RuntimeConformance,), {"harness": LocalHarness} | body)


def test_a_class_with_a_harness_is_all_it_takes() -> None:
    assert issubclass(
        subclass(known_failures={"RES-001": KnownFailure("https://example.org/1", raises=OSError)}), object
    )


@pytest.mark.parametrize(
    "name", ["test_rule", "test_RES_001", "testing", "pytest_generate_tests", "conformance_clusters", "rule"]
)
def test_rules_are_not_overridden(name: str) -> None:
    with pytest.raises(TypeError, match=f"defines {name}: rules are not overridden"):
        subclass(**{name: lambda self: None})


def test_rules_are_not_overridden_by_a_mixin() -> None:
    class Mixin:
        def test_rule(self) -> None: ...

    with pytest.raises(TypeError, match="Mixin defines test_rule"):
        type("TestMine", (Mixin, RuntimeConformance), {"harness": LocalHarness})


def test_rules_are_not_overridden_by_a_grandchild() -> None:
    with pytest.raises(TypeError, match="rules are not overridden"):
        type("TestMore", (subclass(),), {"test_rule": None})


@pytest.mark.parametrize("harness", [None, int, LocalHarness()])
def test_a_harness_is_a_class(harness: object) -> None:
    with pytest.raises(TypeError, match="subclass of Harness"):
        subclass(harness=harness)


def test_a_known_failure_is_of_a_rule_that_exists() -> None:
    with pytest.raises(TypeError, match="names XYZ-001"):
        subclass(known_failures={"XYZ-001": KnownFailure("https://example.org/1", raises=OSError)})


def test_a_known_failure_needs_a_link() -> None:
    with pytest.raises(ValueError, match="needs a link"):
        KnownFailure("we know", raises=OSError)
    with pytest.raises(TypeError, match="must be a KnownFailure"):
        subclass(known_failures={"RES-001": "https://example.org/1"})


def test_a_fault_counts_when_its_method_is_written() -> None:
    class Breaking(LocalHarness):
        def restart_broker(self) -> None: ...

    assert Breaking().can_inject(Fault.BROKER)
    assert not Breaking().can_inject(Fault.NODE)


def test_a_harness_must_say_how_to_start() -> None:
    class Unwritten(Harness):
        backend = "x"

    with pytest.raises(TypeError, match="abstract"):
        Unwritten()  # type: ignore[abstract]


def test_sessions_without_rules_pay_nothing_for_the_plugin() -> None:
    # It is loaded in every session of pytest where the suite is installed, also in those that measure coverage.
    code = "import sys, omruntime_conformance.plugin; sys.exit('omruntime' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
