"""A canvas comes to its end whoever dies when: deliveries, cancellers and stewards, interleaved at every step."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omruntime.abc import Call, Space, Store
from omruntime.auth import Auth
from omruntime.canvas import CanvasRecords, Conductor
from omruntime.errors import StoreUnavailable
from omruntime.ledger import Claim, End, Granted, Ledger, Refused, Request, Steward, TaskState, step_id
from omruntime.ledger.facts import callback_id
from tests.canvas.trees import Tree, plan_of, tell, trees
from tests.ledger.stepped import Actor, DictStore
from tests.ledger.test_model import KnownDead, Party, end

CANVAS = "c"
ENGINE = "engine://"
AUTH = Auth("somebody", "a key of more than sixteen characters")


def request(task: str, *, waits: bool, incarnation: str = "0", followed: bool = True) -> tuple[str, Request]:
    return task, Request(
        name="n",
        label="default",
        payload=[],
        submitted=0.0,
        engine=ENGINE,
        incarnation=incarnation,
        canvas=CANVAS,
        waits=waits,
        followed=followed,
    )


Answer = TypeVar("Answer")


def patiently(work: Callable[[], Answer]) -> Answer:
    """Do what a host does where the store is away: insist."""
    while True:
        try:
            return work()
        except StoreUnavailable:
            continue


class CanvasMachine(RuleBasedStateMachine):
    """One canvas, any number of parties."""

    @initialize(
        tree=trees(),
        failing=st.sets(st.integers(0, 12), max_size=2),
        cancels=st.booleans(),
        forgets=st.booleans(),
        repeats=st.booleans(),
    )
    def submit(self, tree: Tree, failing: set[int], cancels: bool, forgets: bool, repeats: bool) -> None:
        self.tree, self.plan = tree, plan_of(tree)
        self.failing = {step_id(CANVAS, number) for number in failing}
        self.cancels, self.forgets, self.repeats = cancels, forgets, repeats
        self.store = DictStore()
        self.incarnation = 0
        self.dead: set[str] = set()
        self.parties: list[Party] = []
        self.hosts = 0
        self.begun: Counter[str] = Counter()
        self.order: list[tuple[str, str]] = []
        self.cancelled = False
        first = set(self.plan.first_steps(~0))
        requests = [request(CANVAS, waits=False)]
        requests += [request(step_id(CANVAS, number), waits=number not in first) for number in range(self.plan.steps)]
        # The last step has a callback.
        self.last = step_id(CANVAS, self.plan.steps - 1)
        requests.append(request(callback_id(self.last), waits=True, followed=False))
        CanvasRecords(Ledger(self.store)).commit(CANVAS, self.plan, requests)
        self.messages = [step_id(CANVAS, number) for number in sorted(first)]

    # -- parties -------------------------------------------------------------------------------------------------

    def conductor(self, ledger: Ledger) -> Conductor:
        def send(tasks: Sequence[tuple[str, Request]]) -> None:
            self.messages += [task for task, _ in tasks]

        return Conductor(ledger, AUTH, send, incarnation=lambda: str(self.incarnation))

    def run_delivery(self, party: Party, task: str, store: Store) -> None:
        ledger = Ledger(store)
        claim = Claim(host=party.host, nonce=party.host, worker="w", started=0.0)
        answer = patiently(lambda: ledger.claim(task, claim))
        if isinstance(answer, Refused):
            if answer.end is not None:
                self.follow(ledger, task, answer.end, again=True)
            return
        assert isinstance(answer, Granted)
        party.attempts.append(answer.attempt)
        self.begun[f"{task}:{answer.attempt}"] += 1
        self.order.append(("begins", task))
        written = end("FAILURE" if task in self.failing else "SUCCESS")
        if patiently(lambda: ledger.end(task, answer.attempt, written)):
            self.order.append(("ends", task))
            self.follow(ledger, task, written, again=False)
        elif (found := patiently(lambda: ledger.ends([task])).get(task)) is not None:
            self.follow(ledger, task, found[1], again=True)

    def follow(self, ledger: Ledger, task: str, written: End, *, again: bool) -> None:
        canvas = "" if task == callback_id(self.last) else CANVAS
        succeeded, tries = written.state == "SUCCESS", itertools.chain([again], itertools.repeat(True))
        patiently(lambda: self.conductor(ledger).task_ended(task, canvas, succeeded, again=next(tries)))
        patiently(lambda: ledger.remove_requests([task]))

    def run_steward(self, store: Store) -> None:
        life, ledger = str(self.incarnation), Ledger(store)

        def follow(task: str, request: Request, ended: End) -> bool:
            self.conductor(ledger).task_ended(task, request.canvas, ended.state == "SUCCESS", again=True)
            return True

        def resend(call: Call) -> None:
            self.messages.append(call.id)

        steward = Steward(
            ledger,
            lambda *_: end("FAILURE"),
            engine=ENGINE,
            resend=resend,
            incarnation=lambda: life,
            watch=KnownDead(self.dead),
            follow=follow,
        )
        with suppress(StoreUnavailable):
            # A pass that fails is made again, some time.
            steward.step()

    def run_cancel(self, store: Store) -> None:
        with suppress(StoreUnavailable):
            self.conductor(Ledger(store)).cancel(CANVAS, "was cancelled")

    def run_cancel_step(self, task: str, store: Store) -> None:
        with suppress(StoreUnavailable):
            self.cancel_one(Ledger(store), task)

    def cancel_one(self, ledger: Ledger, task: str) -> None:
        if ledger.close_task(task, 1, end("REVOKED"))[1]:
            self.conductor(ledger).call_back([task])

    # -- what happens --------------------------------------------------------------------------------------------

    def party(self, host: str = "") -> Party:
        party = Party(host)
        self.parties.append(party)
        return party

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 20), keep=st.booleans())
    def deliver(self, which: int, keep: bool) -> None:
        """The engine hands a call to a host, perhaps not for the last time."""
        task = self.messages[which % len(self.messages)]
        if not (keep and self.repeats):
            self.messages.remove(task)
        self.hosts += 1
        party = self.party(f"h{self.hosts}")
        party.task = task
        party.actor = Actor(lambda store: self.run_delivery(party, task, store), self.store)

    @rule()
    def steward(self) -> None:
        self.party().acting(Actor(self.run_steward, self.store))

    @precondition(lambda self: self.cancels and not self.cancelled)
    @rule()
    def cancel(self) -> None:
        self.cancelled = True
        self.party().acting(Actor(self.run_cancel, self.store))

    @precondition(lambda self: self.cancels)
    @rule(which=st.integers(0, 20))
    def cancel_step(self, which: int) -> None:
        task = step_id(CANVAS, which % self.plan.steps)
        self.party().acting(Actor(lambda store: self.run_cancel_step(task, store), self.store))

    @precondition(lambda self: self.busy())
    @rule(order=st.lists(st.integers(0, 20), min_size=1, max_size=30))
    def interleave(self, order: list[int]) -> None:
        for which in order:
            if busy := self.busy():
                busy[which % len(busy)].actor.step()

    def busy(self) -> list[Party]:
        return [party for party in self.parties if not party.actor.done]

    @precondition(lambda self: self.busy())
    @rule(which=st.integers(0, 20), killed=st.booleans())
    def lose(self, which: int, killed: bool) -> None:
        """Somebody is killed where they stand, or only sleeps and will wake up: observers cannot tell."""
        party = self.busy()[which % len(self.busy())]
        if party.host:
            self.dead.add(party.host)
        if killed:
            party.actor.abandon()
            if party.host and not party.attempts:
                # What it had not claimed the engine gives to somebody else.
                self.messages.append(party.task)

    @precondition(lambda self: self.busy())
    @rule(which=st.integers(0, 20))
    def stumble(self, which: int) -> None:
        """The store is away for a moment, for one of them."""
        self.busy()[which % len(self.busy())].actor.stumble()

    @precondition(lambda self: self.forgets)
    @rule()
    def engine_forgets(self) -> None:
        self.messages.clear()
        self.incarnation += 1

    # -- what holds ----------------------------------------------------------------------------------------------

    @invariant()
    def no_attempt_is_begun_twice(self) -> None:
        if hasattr(self, "begun"):
            assert all(count == 1 for count in self.begun.values())

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        for party in self.parties:
            party.actor.finish()
        for _ in range(200):
            if self.is_over():
                break
            self.settle()
        assert self.is_over(), "owed, and nobody has done it"
        self.check()

    def settle(self) -> None:
        while self.messages:
            task = self.messages.pop(0)
            self.hosts += 1
            self.run_delivery(Party(f"h{self.hosts}"), task, self.store)
        self.run_steward(self.store)

    def states(self) -> dict[str, TaskState]:
        tasks = [CANVAS, callback_id(self.last), *(step_id(CANVAS, number) for number in range(self.plan.steps))]
        states = Ledger(self.store).states(tasks)
        return {task: state for task, state in states.items() if isinstance(state, TaskState)}

    def is_over(self) -> bool:
        states = self.states()
        return len(states) == self.plan.steps + 2 and all(state.end is not None for state in states.values())

    def check(self) -> None:
        states = self.states()
        whole = states[CANVAS].status
        steps = [states[step_id(CANVAS, number)] for number in range(self.plan.steps)]
        told = tell(self.tree, lambda number: steps[number].status != "SUCCESS")
        if not self.cancels:
            assert {number for number, step in enumerate(steps) if not step.runs} == told.skipped
        if whole != "REVOKED":
            assert whole == ("SUCCESS" if told.failed is None else "FAILURE")
        self.check_order()
        self.check_that_nothing_is_left()

    def check_order(self) -> None:
        """A step begins only when all that the tree puts before it has ended."""
        ended: set[int] = set()
        before = {number: self.plan.before(number) for number in range(self.plan.steps)}
        for what, task in self.order:
            if task == callback_id(self.last):
                continue
            number = int(task.rpartition("-")[2])
            if what == "ends":
                ended.add(number)
            else:
                assert before[number] <= ended, (number, before[number], ended)

    def check_that_nothing_is_left(self) -> None:
        for _ in range(3):
            self.run_steward(self.store)
        assert Ledger(self.store).forget(CANVAS)
        left = [
            key
            for space, key in self.store.records
            if space is Space.LEDGER and key.startswith(("request:", "mark:"))
        ]
        assert left == [], left


TestCanvas = CanvasMachine.TestCase
TestCanvas.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
