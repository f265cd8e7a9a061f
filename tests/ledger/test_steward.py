"""The steward: what is owed is sent once, what died is ended, what is old goes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from omruntime.abc import Call, Store
from omruntime.errors import ResultExpired, UnknownTask
from omruntime.ledger import (
    LOST,
    RETRY,
    Granted,
    LeaseWatch,
    Ledger,
    Report,
    Steward,
    TaskState,
    new_id,
)
from omruntime.ledger.facts import End
from tests.ledger.made import claim, end, keys, request, submitted

ENGINE = "engine://one"


@dataclass
class World:
    """An engine, hosts that may be dead, and stewards."""

    ledger: Ledger
    incarnation: str = "life 1"
    dead: set[str] = field(default_factory=set)
    sent: list[Call] = field(default_factory=list)
    queued: int | None = None

    def steward(self, engine: str = ENGINE, *, sends: bool = True, overdue: float = 60.0) -> Steward:
        return Steward(
            self.ledger,
            self.verdict,
            engine=engine,
            resend=self.sent.append if sends else None,
            incarnation=lambda: self.incarnation,
            watch=Dead(self.dead),
            queued=lambda label: self.queued,
            overdue=overdue,
        )

    def verdict(self, task: str, state: TaskState, why: str) -> End:
        return end("FAILURE", name=why, worker=state.claim.worker if state.claim is not None else "")

    def submit(self, task: str = "t", **given: object) -> str:
        return submitted(self.ledger, task, **{"engine": ENGINE, "incarnation": "life 1", **given})

    def begin(self, task: str, host: str) -> int:
        answer = self.ledger.claim(task, claim(host))
        assert isinstance(answer, Granted)
        return answer.attempt

    def sent_ids(self) -> list[str]:
        return [call.id for call in self.sent]


class Dead(LeaseWatch):
    def __init__(self, dead: set[str]) -> None:
        self._dead = dead

    def gone(self, host: str) -> bool:
        return host in self._dead


@pytest.fixture
def world(ledger: Ledger) -> World:
    return World(ledger)


def test_what_waits_on_an_engine_that_lives_is_left_alone(world: World) -> None:
    world.submit("waits")
    world.begin(world.submit("runs"), "h-1")
    assert world.steward().step() == Report(open=2)
    assert world.sent == []


def test_what_nobody_has_claimed_for_long_is_sent_once_more(world: World) -> None:
    task = world.submit()
    world.begin(world.submit("runs"), "h-1")
    world.submit("its turn has not come", waits=True)
    assert world.steward(overdue=0.0).step().sent == [task]
    assert world.steward(overdue=0.0).step().sent == []
    world.incarnation = "life 2"
    assert world.steward(overdue=0.0).step().sent == [task]


def test_what_an_engine_does_not_have_any_more_is_sent_again(world: World) -> None:
    first, second, third = (world.submit(f"t{number}") for number in range(3))
    world.submit("its turn has not come", waits=True)
    world.begin(world.submit("runs"), "h-1")
    world.queued = 3
    steward = world.steward(overdue=0.0)
    assert steward.step().sent == [first, second, third], "how many it has is asked for what has been seen before"
    world.sent.clear()
    assert steward.step().sent == []
    world.queued = 1
    assert steward.step().sent == [first, second]
    world.queued = 3
    assert steward.step().sent == []
    world.begin(first, "h-1")
    world.queued = 2
    assert steward.step().sent == []
    world.queued = 1
    assert steward.step().sent == [second], "it can be lost more than once"


def test_an_engine_that_has_all_its_calls_is_relied_on_for_long(world: World) -> None:
    task = world.submit()
    world.queued = 1
    steward = world.steward(overdue=1e9)
    for _ in range(3):
        assert steward.step().sent == []
    world.queued = 0
    assert steward.step().sent == [], "not before it was seen unclaimed for a lease period"
    assert world.ledger.state(task).status == "PENDING"


def test_a_lost_attempt_below_the_budget_is_ended_and_sent_again(world: World) -> None:
    task = world.submit(payload=[b"head", b"buffer"])
    world.begin(task, "h-1")
    world.dead.add("h-1")
    report = world.steward().step()
    assert (report.lost, report.sent, report.ended) == ([task], [task], [])
    assert world.sent == [Call(id=task, name="model.fit m", label="default", payload=(b"head", b"buffer"))]
    assert world.ledger.state(task).attempt == 2


@pytest.mark.parametrize(("retries", "attempts"), [(None, 3), (0, 1), (1, 2), (4, 5)])
def test_a_lost_attempt_at_the_budget_is_the_end(world: World, retries: int | None, attempts: int) -> None:
    task = world.submit(retries=retries)
    report = Report()
    for number in range(1, attempts + 1):
        assert world.begin(task, f"h-{number}") == number
        world.dead.add(f"h-{number}")
        report = world.steward().step()
    assert report.ended == [task]
    state = world.ledger.state(task)
    assert (state.status, state.attempt) == ("FAILURE", attempts)
    assert len(world.sent) == attempts - 1
    assert keys(world.ledger.store, "request:") == []


def test_the_dead_host_that_wakes_up_changes_nothing(world: World) -> None:
    task = world.submit(retries=0)
    world.begin(task, "h-1")
    world.dead.add("h-1")
    world.steward().step()
    assert world.ledger.end(task, 1, end("SUCCESS")) is False
    assert world.ledger.state(task).status == "FAILURE"


def test_tasks_die_with_the_runtime_that_they_are_tied_to(world: World) -> None:
    queued = world.submit("queued", runtime="h-client")
    running = world.submit("running", runtime="h-client")
    between = world.submit("between", runtime="h-client")
    other = world.submit("other", runtime="h-other")
    world.begin(running, "h-client")
    world.ledger.end(between, world.begin(between, "h-client"), end(RETRY))
    world.dead.add("h-client")
    report = world.steward(sends=False).step()
    assert sorted(report.ended) == ["between", "queued", "running"]
    ends = [world.ledger.state(task).end for task in (queued, running, between)]
    assert [each.name for each in ends if each is not None] == ["runtime ended"] * 3
    assert world.ledger.state(other).status == "PENDING"
    assert world.sent == []


def test_an_engine_that_began_a_new_life_gets_what_it_forgot_once(world: World) -> None:
    waits, runs = world.submit("waits"), world.submit("runs")
    world.begin(runs, "h-1")
    world.incarnation = "life 2"
    for _ in range(3):
        world.steward().step()
    assert world.sent_ids() == [waits]
    world.incarnation = "life 3"
    world.steward().step()
    world.steward().step()
    assert world.sent_ids() == [waits, waits]


def test_the_next_attempt_is_left_to_the_host_of_the_last_one(world: World) -> None:
    task = world.submit(retries=3)
    world.ledger.end(task, world.begin(task, "h-1"), end(RETRY))
    # It may have been asked to wait before it tries again.
    world.steward(overdue=0.0).step()
    assert world.sent_ids() == []
    world.dead.add("h-1")
    world.steward().step()
    assert world.sent_ids() == [task]


def test_what_is_owed_goes_out_once_for_each_attempt(world: World) -> None:
    world.dead |= {"h-1", "h-2"}
    task = world.submit()
    world.ledger.end(task, world.begin(task, "h-1"), end(LOST))
    for _ in range(3):
        world.steward().step()
    assert world.sent_ids() == [task]
    world.ledger.end(task, world.begin(task, "h-2"), end(LOST))
    for _ in range(3):
        world.steward().step()
    assert world.sent_ids() == [task, task]


def test_two_stewards_do_what_one_does(world: World) -> None:
    tasks = [world.submit(f"t{number}") for number in range(4)]
    for task in tasks:
        world.begin(task, "h-1")
    world.dead.add("h-1")
    stewards = [world.steward(), world.steward()]
    reports = [steward.step() for _ in range(2) for steward in stewards]
    assert sorted(task for report in reports for task in report.lost) == tasks
    assert sorted(world.sent_ids()) == tasks


def test_nothing_is_sent_to_an_engine_that_it_was_not_meant_for(world: World) -> None:
    task = world.submit()
    world.begin(task, "h-1")
    world.dead.add("h-1")
    report = world.steward("engine://two").step()
    assert (report.lost, report.sent) == ([task], [])
    assert world.sent == []
    assert world.steward().step().sent == [task]


def test_a_steward_without_an_engine_ends_what_is_lost_and_sends_nothing(world: World) -> None:
    task = world.submit()
    world.begin(task, "h-1")
    world.dead.add("h-1")
    assert world.steward(sends=False).step().lost == [task]
    assert world.steward().step().sent == [task]


def test_a_request_that_was_left_behind_by_a_dead_writer_is_swept(world: World) -> None:
    task = world.submit()
    world.ledger.end(task, world.begin(task, "h-1"), end())
    # What a writer does that dies before it can clear away.
    world.ledger.submit([(task, request())])
    report = world.steward().step()
    assert (report.ended, report.lost, report.sent) == ([], [], [])
    assert keys(world.ledger.store, "request:") == []
    assert world.ledger.state(task).status == "SUCCESS"


def test_a_claim_that_bars_everybody_is_no_worker_that_can_be_lost(world: World) -> None:
    task = world.submit()
    world.dead.add("")
    bar = claim("")
    world.ledger.claim(task, bar)
    report = world.steward().step()
    assert (report.lost, report.ended) == ([], [])


def test_records_expire_by_their_age_and_leave_tombstones(world: World) -> None:
    ledger = world.ledger
    for task, ended in (("old", 1_000.0), ("young", 9_000.0)):
        submitted(ledger, task)
        ledger.end(task, world.begin(task, "h-1"), end(submitted=ended - 1, ended=ended))
    steward = world.steward()
    assert steward.expire(5_000.0, now=lambda: 10_000.0) == 1
    assert ledger.state("young").status == "SUCCESS"
    with pytest.raises(ResultExpired):
        ledger.state("old")
    with pytest.raises(UnknownTask):
        ledger.state("never")
    assert steward.expire(5_000.0, now=lambda: 10_000.0) == 0


def test_a_task_that_ran_for_long_keeps_its_fresh_result(world: World) -> None:
    submitted(world.ledger)
    world.ledger.end("t", world.begin("t", "h-1"), end(submitted=1.0, ended=9_999.0))
    assert world.steward().expire(5_000.0, now=lambda: 10_000.0) == 0
    assert world.ledger.state("t").status == "SUCCESS"


def test_expiry_stops_at_the_first_record_that_is_young(store: Store) -> None:
    ledger = Ledger(store)
    world = World(ledger)
    ids = sorted(new_id() for _ in range(1_200))
    for number, task in enumerate(ids):
        ledger.end(task, 1, end(submitted=float(number), ended=float(number)))
    scans = []
    scan = store.scan

    def counted(*args: object, **kwargs: object) -> list[tuple[str, bytes]]:
        scans.append(args[1])
        return scan(*args, **kwargs)  # type: ignore[arg-type]

    store.scan = counted  # type: ignore[method-assign]
    assert world.steward().expire(0.0, now=lambda: 10.0) == 10
    assert scans.count("end:") == 1
    assert len(keys(store, "end:")) == 1_190


def test_a_task_that_was_retried_expires_whole(world: World) -> None:
    task = world.submit()
    for attempt in range(1, 12):
        world.begin(task, f"h-{attempt}")
        world.ledger.end(task, attempt, end(RETRY if attempt < 11 else "SUCCESS", ended=3.0))
    assert world.steward().expire(1.0, now=lambda: 100.0) == 1
    assert keys(world.ledger.store) == ["claim:t:1"]


def test_what_was_sent_again_leaves_no_more_behind_than_another_task(world: World) -> None:
    task = world.submit()
    world.begin(task, "h-1")
    world.dead.add("h-1")
    world.steward().step()
    world.ledger.end(task, world.begin(task, "h-2"), end())
    world.ledger.forget(task)
    assert keys(world.ledger.store) == ["claim:t:1"]
