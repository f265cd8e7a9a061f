"""Mutants on trial: each is run against its own rule and others, and told is which of them have noticed it."""

from __future__ import annotations

import enum
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from omruntime_conformance.mutants.harness import MutantHarness
from omruntime_conformance.mutants.registry import Mutant, mutant_env
from omruntime_conformance.processes import JobProcess
from omruntime_conformance.registry import REGISTRY, Rule
from omruntime_conformance.report import Outcome, Status

__all__ = ["Finding", "Scope", "rules_without", "try_mutants"]

_TARGET = f"{MutantHarness.__module__}:{MutantHarness.__qualname__}"


class Scope(enum.Enum):
    """Which rules a mutant is run against; the value is how that is said."""

    OWN = "its own rule"
    BESIDE = "its own rule and those beside it"
    """Rules of the area that are written in the same module and need no cluster of their own."""
    AREA = "its own rule and all of the same area"
    FULL = "every rule"

    def takes(self, own: Rule, other: Rule) -> bool:
        """Tell whether a mutant that is made for one rule is run against another one."""
        if self in (Scope.OWN, Scope.FULL):
            return self is Scope.FULL
        if self is Scope.AREA:
            return own.area == other.area
        beside = (own.area, own.body.__module__) == (other.area, other.body.__module__)
        return beside and not other.own_cluster


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one mutant."""

    mutant: Mutant
    outcomes: Mapping[str, Outcome]
    """How each rule ended that it was run against, by id."""

    @property
    def own(self) -> Outcome:
        """How the rule ended that has to notice."""
        return self.outcomes[self.mutant.rule]

    @property
    def is_caught(self) -> bool:
        """Whether its own rule has noticed."""
        return self.own.status is Status.FAILED

    @property
    def others(self) -> list[str]:
        """The other rules that have noticed, in the order of their ids."""
        return sorted(id for id, each in self.outcomes.items() if each.status.is_failure and id != self.mutant.rule)

    @property
    def seconds(self) -> float:
        """How long all of its rules took."""
        return sum(each.seconds for each in self.outcomes.values())


def rules_without(mutants: Iterable[Mutant], rules: Iterable[Rule]) -> list[str]:
    """Return the ids of rules that no mutant is made for: nobody knows whether they notice anything."""
    covered = {mutant.rule for mutant in mutants}
    return [rule.id for rule in rules if rule.id not in covered]


def try_mutants(
    mutants: Sequence[Mutant],
    scope: Scope,
    jobs: int = 1,
    tell: Callable[[Finding], None] = lambda finding: None,
) -> list[Finding]:
    """Run every mutant against the rules of the scope and return what became of each, in the order given.

    Args:
        mutants: what to try.
        scope: against which rules.
        jobs: mutants that are tried at the same time.
        tell: called with each finding as it comes.
    """
    found: dict[str, Finding] = {}
    with tempfile.TemporaryDirectory(prefix="omruntime-mutants-") as place, ThreadPoolExecutor(jobs) as pool:
        trials = _Trials(scope, Path(place))
        pending = [pool.submit(trials.of, each) for each in mutants]
        try:
            for done in as_completed(pending):
                finding = done.result()
                found[str(finding.mutant)] = finding
                tell(finding)
        except BaseException:
            trials.stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found[str(each)] for each in mutants]


class _Trials:
    """Trials of one scope.

    Attributes:
        stopped: nobody wants to know any more.
    """

    def __init__(self, scope: Scope, place: Path) -> None:
        self._scope, self._place = scope, place
        # Each mutant is a new set of processes: what they compile they share, and nothing is written elsewhere.
        self._env = {"PYTHONPYCACHEPREFIX": str(place / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
        self.stopped = threading.Event()

    def of(self, mutant: Mutant) -> Finding:
        """Run a mutant against the rules of the scope."""
        outcomes: dict[str, Outcome] = {}
        broken: dict[str, str] = {}
        process = JobProcess(_TARGET, self._place / str(mutant), {**self._env, **mutant_env(mutant)})
        try:
            for rule in _rules_for(mutant, self._scope):
                if self.stopped.is_set():
                    break
                # Nothing is blocked by a foundation that failed: the mutant was made to be seen by this rule.
                answer = process.run(rule.id, rule.limit * MutantHarness.patience, set(), broken)
                outcomes[rule.id] = answer.outcome
                broken |= answer.broken
        finally:
            process.close()
        return Finding(mutant, outcomes)


def _rules_for(mutant: Mutant, scope: Scope) -> list[Rule]:
    """Return the rules of a scope, the mutant's own first: what it has broken by then is its own doing."""
    own = REGISTRY.rules[mutant.rule]
    return [own, *(each for each in REGISTRY.in_order() if each is not own and scope.takes(own, each))]
