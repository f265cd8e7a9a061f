"""Claims, ends and states: the first writer wins, on every store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from omruntime.abc import Group, Space, Store
from omruntime.errors import ResultExpired, StoreUnavailable, UnknownTask
from omruntime.ledger import LOST, RETRY, Granted, Ledger, Refused, new_id
from omruntime.ledger.facts import Sent, encode, sent_key
from tests.ledger.made import LosesAcknowledgements, claim, end, keys, submitted
from tests.ledger.stepped import DictStore


def status(ledger: Ledger, task: str = "t") -> tuple[str, int]:
    state = ledger.state(task)
    return state.status, state.attempt


def test_a_task_is_pending_then_started_then_what_it_ended_as(ledger: Ledger) -> None:
    task = submitted(ledger)
    assert status(ledger) == ("PENDING", 1)
    assert ledger.claim(task, claim()) == Granted(1)
    assert status(ledger) == ("STARTED", 1)
    assert ledger.end(task, 1, end())
    assert status(ledger) == ("SUCCESS", 1)


@pytest.mark.parametrize("between", [RETRY, LOST])
def test_between_attempts_a_task_stays_started(ledger: Ledger, between: str) -> None:
    task = submitted(ledger)
    for attempt in (1, 2, 3):
        assert ledger.claim(task, claim(f"h-{attempt}")) == Granted(attempt)
        assert ledger.end(task, attempt, end(between))
        assert status(ledger) == ("STARTED", attempt + 1)
    state = ledger.state(task)
    assert (state.claim, state.end) == (None, None)


def test_a_second_claim_is_refused_while_the_first_one_lives(ledger: Ledger) -> None:
    task = submitted(ledger)
    ledger.claim(task, claim("h-1"))
    assert ledger.claim(task, claim("h-2")) == Refused(None)
    state = ledger.state(task)
    assert state.end is None
    assert state.claim is not None
    assert state.claim.host == "h-1"


def test_a_claim_after_the_end_is_refused_with_the_end(ledger: Ledger) -> None:
    task = submitted(ledger)
    ledger.claim(task, claim("h-1"))
    ended = end("FAILURE")
    ledger.end(task, 1, ended)
    assert ledger.claim(task, claim("h-2")) == Refused(ended)


def test_of_many_claimers_one_wins(ledger: Ledger) -> None:
    task = submitted(ledger)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ledger.claim(task, claim(f"h-{number}")), range(8)))
    assert sorted(isinstance(each, Granted) for each in answers) == [False] * 7 + [True]


def test_of_many_ends_one_wins_and_it_is_the_one_that_is_read(ledger: Ledger) -> None:
    task = submitted(ledger)
    ledger.claim(task, claim())
    ends = [end("SUCCESS" if number % 2 else "FAILURE", worker=f"w{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda each: ledger.end(task, 1, each), ends))
    assert won.count(True) == 1
    assert ledger.state(task).end == ends[won.index(True)]


def test_a_lost_acknowledgement_of_a_claim_is_settled_by_reading_it_back() -> None:
    store = DictStore()
    submitted(Ledger(store))
    flaky = Ledger(LosesAcknowledgements(store, 1))
    mine = claim("h-1", "mine")
    with pytest.raises(StoreUnavailable):
        flaky.claim("t", mine)
    assert flaky.claim("t", mine) == Granted(1)
    assert flaky.claim("t", claim("h-1", "another time")) == Refused(None)


def test_a_lost_acknowledgement_of_an_end_is_settled_by_reading_it_back() -> None:
    store = DictStore()
    submitted(Ledger(store))
    flaky = Ledger(LosesAcknowledgements(store, 0))
    flaky.claim("t", claim())
    flaky = Ledger(LosesAcknowledgements(store, 1))
    mine = end()
    with pytest.raises(StoreUnavailable):
        flaky.end("t", 1, mine)
    assert flaky.end("t", 1, mine) is True
    assert flaky.end("t", 1, end()) is False


def test_closing_a_task_that_nobody_has_begun_keeps_it_from_ever_beginning(ledger: Ledger) -> None:
    task = submitted(ledger)
    before, won = ledger.close_task(task, 1, end("REVOKED"))
    assert (before.status, won) == ("PENDING", True)
    assert isinstance(ledger.claim(task, claim()), Refused)
    assert status(ledger) == ("REVOKED", 1)
    assert keys(ledger.store, "request:") == []


def test_closing_a_running_task_tells_who_runs_it(ledger: Ledger) -> None:
    task = submitted(ledger)
    ledger.claim(task, claim("h-7"))
    before, won = ledger.close_task(task, 1, end("REVOKED"))
    assert won
    assert before.end is None
    assert before.claim is not None
    assert before.claim.host == "h-7"
    assert ledger.end(task, 1, end("SUCCESS")) is False


def test_closing_a_task_that_is_over_changes_nothing(ledger: Ledger) -> None:
    task = submitted(ledger)
    ledger.claim(task, claim())
    ledger.end(task, 1, end("SUCCESS"))
    before, won = ledger.close_task(task, 1, end("REVOKED"))
    assert (before.status, won) == ("SUCCESS", False)
    assert status(ledger) == ("SUCCESS", 1)


def test_closing_between_attempts_ends_the_attempt_that_is_open(ledger: Ledger) -> None:
    task = submitted(ledger)
    ledger.claim(task, claim())
    ledger.end(task, 1, end(RETRY))
    assert ledger.close_task(task, 1, end("REVOKED"))[1]
    assert status(ledger) == ("REVOKED", 2)


def test_unknown_expired_and_forgotten_are_told_apart(ledger: Ledger) -> None:
    with pytest.raises(UnknownTask, match="never-issued"):
        ledger.state("never-issued")
    task = submitted(ledger)
    ledger.claim(task, claim())
    ledger.end(task, 1, end(RETRY))
    ledger.claim(task, claim("h-2"))
    ledger.end(task, 2, end())
    assert ledger.forget(task) is True
    with pytest.raises(ResultExpired, match="run it again"):
        ledger.state(task)
    assert ledger.forget(task) is True
    assert isinstance(ledger.states(["never-issued", task])["never-issued"], UnknownTask)


@pytest.mark.parametrize("begun", [False, True])
def test_a_task_that_is_not_over_is_not_forgotten(ledger: Ledger, begun: bool) -> None:
    task = submitted(ledger)
    if begun:
        ledger.claim(task, claim())
    assert ledger.forget(task) is False
    assert ledger.state(task).request is not None


def test_a_task_that_was_never_issued_cannot_be_forgotten(ledger: Ledger) -> None:
    with pytest.raises(UnknownTask):
        ledger.forget("never-issued")


def test_what_was_printed_is_kept_also_where_somebody_else_ended_the_task(ledger: Ledger) -> None:
    for task, attempts, logs in (("b", 2, "by the end"), ("a", 1, ""), ("c", 1, "")):
        submitted(ledger, task)
        for attempt in range(1, attempts + 1):
            ledger.claim(task, claim(f"h-{attempt}"))
            final = attempt == attempts
            ledger.end(task, attempt, end("REVOKED" if final else RETRY, logs=logs if final else "of the first"))
    ledger.keep_logs("a", 1, "by the host; ")
    ledger.keep_logs("c", 1, "")
    submitted(ledger, "open")
    assert ledger.logs(["open", "a", "c", "b", "never"]) == "by the host; by the end"
    assert keys(ledger.store, "logs:") == ["logs:a:1"]


def test_a_forgotten_task_leaves_its_tombstone_and_nothing_else(ledger: Ledger) -> None:
    task = submitted(ledger)
    for attempt in range(1, 12):
        ledger.claim(task, claim(f"h-{attempt}"))
        ledger.end(task, attempt, end(RETRY if attempt < 11 else "SUCCESS"))
        ledger.keep_logs(task, attempt, "printed")
    sent = [sent_key(task, attempt, number) for attempt in (1, 2, 11) for number in range(1, attempt + 2)]
    ledger.store.commit([Group(Space.LEDGER, dict.fromkeys(sent, encode(Sent(incarnation="i"))))])
    ledger.forget(task)
    ledger.keep_logs(task, 11, "printed, and told too late")
    assert keys(ledger.store) == ["claim:t:1"]


def test_nobody_can_run_a_forgotten_task_again(ledger: Ledger) -> None:
    task = submitted(ledger)
    ledger.claim(task, claim())
    ledger.end(task, 1, end())
    ledger.forget(task)
    assert isinstance(ledger.claim(task, claim("h-late")), Refused)


def test_many_states_are_those_of_each(ledger: Ledger) -> None:
    made = [submitted(ledger, f"t{number}") for number in range(12)]
    for number, task in enumerate(made):
        for attempt in range(1, number % 4 + 1):
            ledger.claim(task, claim())
            ledger.end(task, attempt, end(RETRY))
        if number % 3:
            ledger.claim(task, claim())
    asked = [*made, "unknown"]
    together = ledger.states(asked)
    assert {task: together[task] for task in made} == {task: ledger.state(task) for task in made}
    assert isinstance(together["unknown"], UnknownTask)


def test_open_tasks_are_those_that_have_not_ended_oldest_first(ledger: Ledger) -> None:
    ids = sorted(new_id() for _ in range(7))
    for task in reversed(ids):
        submitted(ledger, task)
    ledger.close_task(ids[3], 1, end("REVOKED"))
    assert [task for task, _ in ledger.open_tasks(page=2)] == [*ids[:3], *ids[4:]]


def test_committed_is_said_of_the_attempt_that_succeeded_alone(ledger: Ledger) -> None:
    task = submitted(ledger)
    ledger.claim(task, claim())
    assert not ledger.committed(task, 1)
    ledger.end(task, 1, end(RETRY))
    ledger.claim(task, claim())
    ledger.end(task, 2, end())
    assert [ledger.committed(task, attempt) for attempt in (1, 2, 3)] == [False, True, False]


def test_what_is_kept_counts_with_the_attempt_that_ended_the_task(ledger: Ledger) -> None:
    task = submitted(ledger)
    ledger.claim(task, claim())
    assert ledger.outcome(task, 1, True) is None
    ledger.end(task, 1, end(RETRY))
    assert ledger.outcome(task, 1, True) is False
    ledger.claim(task, claim())
    ledger.end(task, 2, end("FAILURE"))
    assert [ledger.committed(task, attempt, True) for attempt in (1, 2)] == [False, True]
    assert [ledger.outcome(task, attempt, True) for attempt in (1, 2)] == [False, True]
    assert [ledger.outcome(task, attempt) for attempt in (1, 2)] == [False, False]


def test_a_state_names_its_task_before_and_after_the_end(store: Store) -> None:
    ledger = Ledger(store)
    task = submitted(ledger, name="script.run etl")
    assert ledger.state(task).name == "script.run etl"
    ledger.close_task(task, 1, end("REVOKED", name="script.run etl"))
    assert ledger.state(task).name == "script.run etl"
