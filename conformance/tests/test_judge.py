"""The judgement after every rule: how often a task may run, and that all readers see one outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from omruntime_conformance.judge import Outcomes, too_many_executions
from omruntime_conformance.oracle import CLUSTER, PROCESS, Entry

from omruntime.errors import ResultExpired, ResultTimeout, SerializationError, TaskRevoked, UnknownTask


def entry(execution: str = "", *, task: str = "t", pid: int = 1, **more: Any) -> Entry:
    what = "breaks something" if more.get("fault") else "start"
    named = task if execution else ""
    return Entry(0, what, "x", pid, "here", "", 0.0, {}, task=named, execution=execution, **more)


KILLED = entry(pid=1, fault=PROCESS)
"""The suite has killed process 1."""


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [entry("a"), entry("a"), entry("b", task="another")],
        [entry("a", pid=1), KILLED, entry("b", pid=2)],
        [entry("a", fault=PROCESS), entry("b", pid=2)],
        [entry("a", retries=1), entry("b", retries=1)],
        [entry(fault=CLUSTER), entry("a"), entry("b"), entry("c")],
        [entry(), entry()],
    ],
    ids=["nothing", "once each", "killed", "ends itself", "retries", "broker", "outside of tasks"],
)
def test_what_may_happen(entries: list[Entry]) -> None:
    assert not [*too_many_executions(entries)]


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([entry("a", pid=1), entry("b", pid=1)], "no fault was injected, so it is 1"),
        ([entry("a", pid=1), KILLED, entry("b", pid=2), entry("c", pid=3)], "1 of its executions met a fault"),
        ([entry("a", pid=1), entry("b", pid=2), entry("z", task="later", pid=1), KILLED], "no fault was injected"),
        ([entry("a", pid=2), KILLED, entry("b", pid=3)], "no fault was injected"),
        ([entry(pid=1, by="suite"), entry("a"), entry("b")], "no fault was injected"),
        ([KILLED, *(entry(each, retries=0) for each in "ab")], "retries=0, so it is 1"),
        ([entry(fault=CLUSTER), *map(entry, "abcd")], "any task may be run again for, so it is 3"),
    ],
    ids=[
        "twice",
        "more than it was killed",
        "killed afterwards",
        "another was killed",
        "gate",
        "no retries",
        "broker",
    ],
)
def test_what_may_not_happen(entries: list[Entry], why: str) -> None:
    (verdict,) = too_many_executions(entries)
    assert "task t (x) was executed" in verdict
    assert why in verdict


class Told:
    """A handle that tells what it is told to."""

    id = "t"

    def __init__(self, outcome: Any, status: str = "SUCCESS") -> None:
        self.outcome = outcome
        self.status = status

    def get(self, timeout: float | None = None) -> Any:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def seen(*outcomes: Any) -> Outcomes:
    found = Outcomes()
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            with pytest.raises(type(outcome)):
                found.get(Told(outcome), 1)
        else:
            assert found.get(Told(outcome), 1) is outcome
    return found


def test_one_outcome_for_all_readers() -> None:
    arrays = [{"array": np.array([1.0, float("nan")])} for _ in range(2)]
    assert not seen(*arrays).broken
    assert not seen(ValueError("a", 1), ValueError("a", 1)).broken
    assert not seen(ResultTimeout("not yet"), 5, ResultTimeout("not so fast"), 5, ResultExpired("gone")).broken


@pytest.mark.parametrize("others", [(5, 6), (5, ValueError("a")), (ValueError("a"), ValueError("b")), (1, True)])
def test_two_outcomes_are_told(others: tuple[Any, Any]) -> None:
    (verdict,) = seen(*others, *others).broken
    assert "two readers of the task t have seen different outcomes" in verdict


def test_tasks_are_read_once_more() -> None:
    outcomes = seen(5)
    outcomes.read_again(lambda id: Told(5), 1)
    outcomes.read_again(lambda id: Told(ResultExpired("forgotten")), 1)
    assert not outcomes.broken
    outcomes.read_again(lambda id: Told(6), 1)
    assert "5 became 6" in outcomes.broken[0]


def test_a_task_that_was_read_does_not_vanish() -> None:
    def find(id: str) -> Told:
        raise UnknownTask(f"no task {id}")

    outcomes = seen(5)
    outcomes.read_again(find, 1)
    assert "the value 5 became UnknownTask: no task t" in outcomes.broken[0]


@pytest.mark.parametrize(
    ("outcome", "status", "holds"),
    [
        (5, "SUCCESS", True),
        (5, "FAILURE", False),
        (5, "STARTED", False),
        (ValueError("a"), "FAILURE", True),
        (ValueError("a"), "SUCCESS", False),
        (TaskRevoked("it was"), "REVOKED", True),
        (SerializationError("not here"), "SUCCESS", True),
    ],
)
def test_the_status_suits_the_outcome(outcome: Any, status: str, holds: bool) -> None:
    outcomes = seen(outcome)
    outcomes.read_again(lambda id: Told(outcome, status), 1)
    assert (not outcomes.broken) is holds
