"""The facts hold whoever goes when: claimers, losers, wakers, cancellers and stewards, interleaved at every step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omruntime.abc import Call, Space, Store
from omruntime.ledger import (
    FINAL,
    RETRY,
    Claim,
    End,
    Granted,
    LeaseWatch,
    Ledger,
    Request,
    Steward,
    lost_budget,
    new_nonce,
)
from omruntime.ledger.facts import decode, end_key
from tests.ledger.stepped import Actor, DictStore

TASK = "t1"
ENGINE = "engine://"


def end(state: str) -> End:
    return End(state=state, outcome=b"", name="n", worker="w", submitted=0.0, started=0.0, ended=0.0)


class KnownDead(LeaseWatch):
    """An observer that has seen which hosts are silent."""

    def __init__(self, dead: set[str]) -> None:
        self._dead = dead

    def gone(self, host: str) -> bool:
        return host in self._dead


@dataclass
class Party:
    """An actor with what the model has to know of it."""

    host: str = ""
    task: str = ""
    actor: Actor = field(init=False)
    attempts: list[int] = field(default_factory=list)

    def acting(self, actor: Actor) -> Party:
        self.actor = actor
        return self


class LedgerMachine(RuleBasedStateMachine):
    """One task, any number of parties."""

    @initialize(
        retries=st.one_of(st.none(), st.integers(0, 3)),
        cancels=st.booleans(),
        forgets=st.booleans(),
        repeats=st.booleans(),
    )
    def submit(self, retries: int | None, cancels: bool, forgets: bool, repeats: bool) -> None:
        # What happens often hides what happens seldom: each history has some kinds of events, and not others.
        self.cancels, self.forgets, self.repeats = cancels, forgets, repeats
        self.store = DictStore()
        self.retries = retries
        self.incarnation = 0
        self.dead: set[str] = set()
        self.parties: list[Party] = []
        self.begun: Counter[int] = Counter()
        self.wins: list[str] = []
        self.hosts = 0
        request = Request(name="n", label="default", payload=[], submitted=0.0, engine=ENGINE, incarnation="0")
        if retries is not None:
            request = Request("n", "default", [], 0.0, ENGINE, "", "0", retries)
        Ledger(self.store).submit([(TASK, request)])
        self.pending = 1
        self.kept: list[str] = []
        """Hosts that begin the next attempt themselves: the engine knows nothing of it, and cannot forget it."""

    # -- parties -------------------------------------------------------------------------------------------------

    def run_delivery(self, party: Party, store: Store, outcome: str) -> None:
        ledger = Ledger(store)
        claim = Claim(host=party.host, nonce=new_nonce(), worker="w", started=0.0)
        answer = ledger.claim(TASK, claim)
        if not isinstance(answer, Granted):
            return
        party.attempts.append(answer.attempt)
        self.begun[answer.attempt] += 1
        tries = 1 if self.retries is None else 1 + self.retries
        state = RETRY if outcome == "FAILURE" and answer.attempt < tries else outcome
        if ledger.end(TASK, answer.attempt, end(state)):
            self.won(state)
            if state == RETRY:
                self.kept.append(party.host)

    def won(self, state: str) -> None:
        if state in FINAL:
            self.wins.append(state)

    def run_steward(self, store: Store) -> None:
        life = str(self.incarnation)

        def resend(call: Call) -> None:
            self.pending += 1

        steward = Steward(
            Ledger(store),
            lambda *_: end("FAILURE"),
            engine=ENGINE,
            resend=resend,
            incarnation=lambda: life,
            watch=KnownDead(self.dead),
        )
        report = steward.step()
        self.wins += ["FAILURE"] * len(report.ended)

    def run_cancel(self, store: Store) -> None:
        if Ledger(store).close_task(TASK, 1, end("REVOKED"))[1]:
            self.won("REVOKED")

    # -- what happens --------------------------------------------------------------------------------------------

    @precondition(lambda self: self.pending > 0)
    @rule(outcome=st.sampled_from(["SUCCESS", "FAILURE"]), keep=st.booleans())
    def deliver(self, outcome: str, keep: bool) -> None:
        """The engine hands the call to a host, perhaps not for the last time."""
        self.pending -= 0 if keep and self.repeats else 1
        self.hosts += 1
        party = Party(f"h{self.hosts}")
        party.actor = Actor(lambda store: self.run_delivery(party, store, outcome), self.store)
        self.parties.append(party)

    @precondition(lambda self: self.kept)
    @rule(outcome=st.sampled_from(["SUCCESS", "FAILURE"]), dies=st.booleans())
    def go_on(self, outcome: str, dies: bool) -> None:
        """A host begins the next attempt of a task that it has tried, or is killed before it can."""
        host = self.kept.pop(0)
        if dies:
            self.dead.add(host)
            return
        party = Party(host)
        party.actor = Actor(lambda store: self.run_delivery(party, store, outcome), self.store)
        self.parties.append(party)

    @rule()
    def steward(self) -> None:
        self.parties.append(Party().acting(Actor(self.run_steward, self.store)))

    @precondition(lambda self: self.cancels)
    @rule()
    def cancel(self) -> None:
        self.parties.append(Party().acting(Actor(self.run_cancel, self.store)))

    @precondition(lambda self: self.busy())
    @rule(order=st.lists(st.integers(0, 20), min_size=1, max_size=8))
    def interleave(self, order: list[int]) -> None:
        for which in order:
            if busy := self.busy():
                busy[which % len(busy)].actor.step()

    def busy(self) -> list[Party]:
        return [party for party in self.parties if not party.actor.done]

    @precondition(lambda self: any(party.host for party in self.busy()))
    @rule(which=st.integers(0, 20), killed=st.booleans())
    def lose(self, which: int, killed: bool) -> None:
        """A host is killed where it stands, or only sleeps and will wake up: observers cannot tell."""
        hosts = [party for party in self.busy() if party.host]
        party = hosts[which % len(hosts)]
        self.dead.add(party.host)
        if killed:
            party.actor.abandon()
            # What it had not claimed the engine gives to somebody else; what it kept is gone.
            self.pending += 0 if party.attempts else 1
            self.kept = [host for host in self.kept if host != party.host]

    @precondition(lambda self: self.forgets)
    @rule()
    def engine_forgets(self) -> None:
        self.pending = 0
        self.incarnation += 1

    # -- what holds ----------------------------------------------------------------------------------------------

    @invariant()
    def one_terminal_outcome(self) -> None:
        if not hasattr(self, "store"):
            return
        ends = [decode(End, value) for (_, key), value in self.store.records.items() if key.startswith("end:")]
        assert sum(each.state in FINAL for each in ends) <= 1
        assert len(self.wins) <= 1

    @invariant()
    def no_attempt_twice_or_above_the_budget(self) -> None:
        if hasattr(self, "begun"):
            assert all(count == 1 for count in self.begun.values())
            assert max(self.begun, default=0) <= max(lost_budget(self.retries), 1)

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        for party in self.parties:
            party.actor.finish()
        # Whatever was abandoned has left the ledger such that stewards and deliveries bring the task to its end.
        for _ in range(20):
            if self.ended():
                break
            self.settle()
        assert self.ended(), "owed, and nobody has sent it"
        assert len(self.wins) == 1

    def settle(self) -> None:
        while self.pending:
            self.pending -= 1
            self.hosts += 1
            self.run_delivery(Party(f"h{self.hosts}"), self.store, "SUCCESS")
        while self.kept:
            self.run_delivery(Party(self.kept.pop()), self.store, "SUCCESS")
        if not self.ended():
            self.run_steward(self.store)

    def ended(self) -> bool:
        keys = [end_key(TASK, attempt) for attempt in range(1, 10)]
        found = self.store.get(Space.LEDGER, keys).values()
        return any(decode(End, value).state in FINAL for value in found)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
