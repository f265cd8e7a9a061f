"""A run of the suite: rules given out to processes, and what came of them put together."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from omruntime.abc import Capability
from omruntime.errors import OmegaRuntimeError
from omruntime.masking import mask
from omruntime_conformance.processes import Answer, JobProcess
from omruntime_conformance.recorder import make_report
from omruntime_conformance.registry import REGISTRY, Rule, load_rules
from omruntime_conformance.report import Outcome, Report, Status
from omruntime_conformance.suite import RuntimeConformance
from omruntime_conformance.target import TargetError, class_of

__all__ = ["Plan", "Run", "chosen_rules"]


def chosen_rules(words: Sequence[str]) -> list[Rule]:
    """Return the rules of these ids and areas, in the order to run them; all where there are no words.

    Raises:
        ValueError: a word is neither.
    """
    rules = load_rules()
    areas = {rule.area for rule in rules.values()}
    wanted = {word.strip().upper() for word in words if word.strip()}
    if unknown := sorted(wanted - areas - set(rules)):
        raise ValueError(
            f"there is no rule and no area {', '.join(unknown)}; areas are {', '.join(sorted(areas))}, "
            "and 'omruntime-conformance list' has all rules"
        )
    return [each for each in REGISTRY.in_order() if not wanted or {each.id, each.area} & wanted]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and how."""

    target: str
    rules: Sequence[Rule]
    jobs: int = 1
    """Processes that run rules at the same time."""
    repeat: int = 1
    seed: int | None = None
    """Seed of the order of rules; None keeps theirs, in which foundations come first."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the processes."""


class Run:
    """One run.

    Args:
        plan: what to run.
        tell: called with each outcome as it comes, from the thread of any job.
    """

    def __init__(self, plan: Plan, tell: Callable[[Outcome], None] = lambda outcome: None) -> None:
        self._plan, self._tell = plan, tell
        self._condition = threading.Condition()
        self._pending: list[Rule] = [rule for _ in range(plan.repeat) for rule in plan.rules]
        if plan.seed is not None:
            random.Random(plan.seed).shuffle(self._pending)
        self._running: list[Rule] = []
        self._failed: set[str] = set()
        self._broken: dict[str, str] = {}
        self._declared: list[frozenset[Capability]] = []
        self._outcomes: dict[str, list[Outcome]] = {}
        self._shares_cluster = False
        self._patience = 1.0
        self.interrupted = False
        """Whether the user has ended it before its end."""
        self._began, self._started = datetime.now(UTC), time.monotonic()

    def run(self) -> Report:
        """Run every rule of the plan and return the report; one that was interrupted says what was not run.

        Raises:
            TargetError: there is nothing of this name to run.
        """
        variant, backend = "", self._plan.target.partition("://")[0].partition("+")[0]
        also: dict[str, str] = {}
        try:
            face = class_of(self._plan.target)
        except TargetError:
            raise
        except OmegaRuntimeError as exc:
            self._block_all(f"{type(exc).__name__}: {exc}")
        else:
            backend, variant, also = face.harness.backend, face.harness.variant, face.harness.versions()
            self._work(face)
        seconds = time.monotonic() - self._started
        target = mask(self._plan.target)
        return make_report(backend, target, self._outcomes, self._declared, self._began, seconds, variant, also)

    def _block_all(self, reason: str) -> None:
        for rule in self._plan.rules:
            self._keep(rule, Answer(Outcome(rule.id, Status.BLOCKED, reason, failures=1)))

    def _work(self, face: type[RuntimeConformance]) -> None:
        harness = face.harness
        self._shares_cluster = harness.existing
        self._patience = harness.patience
        place = Path(tempfile.mkdtemp(prefix="omruntime-conformance-"))
        try:
            count = min(self._plan.jobs, len(self._pending))
            threads = [threading.Thread(target=self._job, args=(place / f"job-{n}",)) for n in range(count)]
            for thread in threads:
                thread.start()
            self._wait(threads)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _wait(self, threads: list[threading.Thread]) -> None:
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            # What is running ends with its rule's limit at the latest; what is pending is reported as not run.
            with self._condition:
                self.interrupted = True
                self._pending.clear()
                self._condition.notify_all()
            for thread in threads:
                thread.join()

    def _job(self, place: Path) -> None:
        process = JobProcess(self._plan.target, place, self._plan.env)
        try:
            while (rule := self._take()) is not None:
                self._keep(rule, process.run(rule.id, rule.limit * self._patience, self._failed, self._broken))
        finally:
            process.close()

    def _take(self) -> Rule | None:
        """Wait for a rule that may run now and take it; None when there are no more."""
        with self._condition:
            while self._pending:
                for rule in self._pending:
                    if self._may_run(rule):
                        self._pending.remove(rule)
                        self._running.append(rule)
                        return rule
                self._condition.wait()
            return None

    def _may_run(self, rule: Rule) -> bool:
        if self._plan.seed is None and any(id in rule.rests_on for id in self._open()):
            return False
        if not self._shares_cluster or not self._running:
            return True
        # On one cluster the others' tasks take up slots, which most rules count.
        return rule.independent and all(each.independent for each in self._running)

    def _open(self) -> set[str]:
        return {each.id for each in (*self._pending, *self._running)}

    def _keep(self, rule: Rule, answer: Answer) -> None:
        outcome = answer.outcome
        with self._condition:
            if rule in self._running:
                self._running.remove(rule)
            self._outcomes.setdefault(rule.id, []).append(outcome)
            self._broken.update(answer.broken)
            self._declared += [frozenset(Capability[name] for name in names) for names in answer.declared]
            if outcome.status.is_failure:
                self._failed.add(rule.id)
            self._condition.notify_all()
        self._tell(outcome)
