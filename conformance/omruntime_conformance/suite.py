"""The class that an author derives from: every rule becomes a test, and none can be overridden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import pytest

from omruntime.abc import Capability, WorkerInfo
from omruntime_conformance.clusters import Broken, Clusters, key_of
from omruntime_conformance.context import Context, NotExercised, Replaced
from omruntime_conformance.deadline import deadline
from omruntime_conformance.failure import explain_context, explain_failure
from omruntime_conformance.harness import Harness
from omruntime_conformance.registry import REGISTRY, Body, Rule, load_rules
from omruntime_conformance.report import Status

__all__ = ["VERDICT", "KnownFailure", "RuntimeConformance", "Verdict"]

_HIDING_MARKS = ("skip", "skipif", "xfail")
_OURS = ("__init_subclass__", "conformance_clusters", "pytest_generate_tests", "rule")
"""What a subclass could shadow, beside tests, to run something else than the rules."""


class Verdict(NamedTuple):
    """How a rule ended that did not fail."""

    status: Status
    reason: str = ""


VERDICT = pytest.StashKey[Verdict]()
"""Where a test of a rule leaves how it ended."""


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A rule that is known to fail, strictly: when it passes, or fails in another way, that is a failure.

    Args:
        url: where the problem is discussed.
        raises: the exception that the rule ends with.
    """

    url: str
    raises: type[BaseException] | tuple[type[BaseException], ...]

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"a known failure needs a link to where it is discussed, not {self.url!r}")


class RuntimeConformance:
    """Runs every rule of the suite on one engine.

    A subclass states its `harness` and may list `known_failures`; nothing else of it can change what is tested.
    """

    harness: ClassVar[type[Harness]]
    """The class that starts the engine."""
    known_failures: ClassVar[Mapping[str, KnownFailure]] = {}
    """Rule id to what is known about its failure."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _check_sealed(cls)
        load_rules()
        unknown = sorted(set(cls.known_failures) - set(REGISTRY.rules))
        if unknown:
            raise TypeError(
                f"{cls.__name__}.known_failures names {', '.join(unknown)}, which are no rules of the suite"
            )
        for id, known in cls.known_failures.items():
            if not isinstance(known, KnownFailure):
                raise TypeError(f"{cls.__name__}.known_failures[{id!r}] must be a KnownFailure(url, raises=...)")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test of each rule."""
        cls = type(self)
        _check_sealed(cls)
        _check_marks(cls, metafunc.definition)
        metafunc.parametrize(
            "rule", [pytest.param(each, id=str(each), marks=_marks(cls, each)) for each in REGISTRY.in_order()]
        )

    def test_rule(
        self, rule: Rule, conformance_clusters: Clusters, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        """Run one rule on the cluster it asks for."""
        clusters = conformance_clusters
        verdict = _obstacle(rule, clusters)
        if verdict is None:
            try:
                with deadline(rule.limit * clusters.harness.patience, rule.id):
                    verdict = _run(rule, clusters, tmp_path)
            except BaseException as exc:
                if rule.id not in self.known_failures:
                    clusters.failed.add(rule.id)
                explain_failure(exc, rule, clusters.harness.backend, clusters.again(rule, request.node.nodeid))
                raise
        request.node.stash[VERDICT] = verdict
        if verdict.status is Status.BLOCKED:
            clusters.failed.add(rule.id)
        if verdict.status not in (Status.PASSED, Status.REFUSED):
            pytest.skip(f"{verdict.status.value}: {verdict.reason}")


def _check_sealed(cls: type) -> None:
    for base in cls.__mro__:
        if base in (RuntimeConformance, object):
            continue
        shadowed = [name for name in vars(base) if name.startswith("test") or name in _OURS]
        if shadowed:
            raise TypeError(
                f"{base.__name__} defines {', '.join(shadowed)}: rules are not overridden; "
                "list a rule that fails in known_failures, with a link"
            )
    harness = getattr(cls, "harness", None)
    if not (isinstance(harness, type) and issubclass(harness, Harness) and hasattr(harness, "backend")):
        raise TypeError(f"{cls.__name__}.harness must be a subclass of Harness that names its backend")


def _check_marks(cls: type, definition: pytest.Item) -> None:
    hiding = sorted({mark.name for mark in definition.iter_markers() if mark.name in _HIDING_MARKS})
    if hiding:
        raise TypeError(
            f"{cls.__name__} is marked {', '.join(hiding)}: rules are not hidden; list one in known_failures"
        )


def _marks(cls: type[RuntimeConformance], rule: Rule) -> list[pytest.MarkDecorator]:
    known = cls.known_failures.get(rule.id)
    return [pytest.mark.xfail(strict=True, raises=known.raises, reason=known.url)] if known else []


def _obstacle(rule: Rule, clusters: Clusters) -> Verdict | None:
    broken = [id for id in rule.rests_on if id in clusters.failed]
    if broken:
        return Verdict(Status.BLOCKED, f"it rests on {', '.join(broken)}, which failed")
    missing = [fault.name for fault in rule.faults if not clusters.harness.can_inject(fault)]
    if missing:
        return Verdict(Status.NOT_EXERCISED, f"the harness injects no {', '.join(missing)} fault")
    return None


def _run(rule: Rule, clusters: Clusters, place: Path) -> Verdict:
    shared = clusters.harness.shared_dir
    try:
        with clusters.of(rule) as cluster:
            place = shared / place.name if shared else place
            ctx = Context(rule, clusters.harness, cluster, clusters.auth, clusters.env, place)
            return _prove(ctx, clusters)
    except Broken as exc:
        return Verdict(Status.BLOCKED, str(exc))
    except NotExercised as reason:
        return Verdict(Status.NOT_EXERCISED, str(reason))


def _prove(ctx: Context, clusters: Clusters) -> Verdict:
    rule = ctx.rule
    try:
        _check_workers(ctx)
        declared = ctx.capabilities
        clusters.declared.append(declared)
        status, body = _chosen_body(rule, declared)
        body(ctx)
        ctx.judge()
    except NotExercised as reason:
        return Verdict(Status.NOT_EXERCISED, str(reason))
    except Replaced as reason:
        return Verdict(Status.REPLACED, str(reason))
    except BaseException as exc:
        explain_context(exc, ctx)
        ctx.close()
        if trouble := clusters.check(rule):
            exc.add_note(f"cluster   {trouble}")
        raise
    finally:
        ctx.close()
    return Verdict(status)


def _chosen_body(rule: Rule, declared: frozenset[Capability]) -> tuple[Status, Body]:
    if rule.without in declared:
        instead = ", ".join(each.id for each in REGISTRY.rules.values() if each.capability is rule.without)
        raise Replaced(instead, f"the engine declares {rule.without.name}")
    if rule.refusal is not None and rule.capability not in declared:
        return Status.REFUSED, rule.refusal
    return Status.PASSED, rule.body


def _check_workers(ctx: Context) -> None:
    """Have a rule alone that needs workers which a cluster that is not the suite's own does not have."""
    if not ctx.harness.existing:
        return
    there = ctx.om.runtime.workers()
    if ctx.rule.exact and _slots_of(there) != Counter(ctx.rule.workers):
        raise NotExercised(f"it needs workers with {key_of(ctx.rule.workers)} and no others")
    for label, slots in ctx.rule.workers.items():
        found = sum(worker.slots for worker in there if set(label.split(",")) <= set(worker.labels))
        if found < slots:
            raise NotExercised(f"it needs {slots} slots with the label {label}, the cluster has {found}")


def _slots_of(workers: list[WorkerInfo]) -> Counter[str]:
    found: Counter[str] = Counter()
    for worker in workers:
        found[",".join(worker.labels)] += worker.slots
    return found
