"""What the classes of rules in one session of pytest found, and the clusters that they run on."""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from omruntime import Auth
from omruntime.auth import default_auth
from omruntime.masking import mask_text
from omruntime_conformance.clusters import Clusters
from omruntime_conformance.harness import Harness
from omruntime_conformance.registry import RULES, Rule
from omruntime_conformance.report import Outcome, Report, Status, merged, write_report
from omruntime_conformance.suite import VERDICT, RuntimeConformance
from omruntime_conformance.versions import engine_versions

__all__ = ["Recorder", "make_report", "rule_of"]

LEASE_SECONDS = "2"
_OWN = ("OMRUNTIME_KEY", "OMRUNTIME_STORE", "OMRUNTIME_RUNTIME")
_DETAIL_LIMIT = 40_000


def make_report(
    backend: str,
    target: str,
    outcomes: Mapping[str, list[Outcome]],
    declared: list[frozenset[Any]],
    begun: datetime,
    seconds: float,
    variant: str = "",
    also: Mapping[str, str] | None = None,
) -> Report:
    """Put together a report with an outcome for each rule of the suite."""
    common = frozenset.intersection(*declared) if declared else frozenset()
    return Report(
        backend=backend,
        variant=variant,
        target=target,
        suite=version("omruntime-conformance"),
        core=version("omruntime"),
        versions=engine_versions(backend) | dict(also or {}),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        date=begun.isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        capabilities=sorted(each.name for each in common),
        outcomes=[
            merged(outcomes[id]) if outcomes.get(id) else Outcome(id, Status.NOT_RUN, runs=0) for id in sorted(RULES)
        ],
    )


def rule_of(item: pytest.Item) -> Rule | None:
    """Return the rule that a test is of, None for any other test."""
    rule = (
        item.callspec.params.get("rule") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    )
    return rule if isinstance(rule, Rule) else None


class _Face:
    """One class of rules: its clusters and what it found."""

    def __init__(self, cls: type[RuntimeConformance]) -> None:
        self.cls = cls
        self.outcomes: dict[str, list[Outcome]] = {}
        self._begun, self._started = datetime.now(UTC), time.monotonic()
        harness = cls.harness()
        self.env, auth = _access(harness)
        self.clusters = Clusters(harness, auth, self.env)

    def report(self) -> Report:
        seconds = time.monotonic() - self._started
        target = f"{self.cls.__module__}:{self.cls.__qualname__}"
        declared, harness = self.clusters.declared, self.cls.harness
        known = (self.outcomes, declared, self._begun, seconds, harness.variant, harness.versions())
        return make_report(harness.backend, target, *known)


def _access(harness: Harness) -> tuple[dict[str, str], Auth]:
    """Return what clients and workers must have in their environment, and the key: ours, or the cluster's."""
    if harness.existing:
        auth = default_auth()
        return {"OMRUNTIME_KEY": auth.secret()}, auth
    key = secrets.token_urlsafe(24)
    return {"OMRUNTIME_KEY": key, "OMRUNTIME_LEASE": LEASE_SECONDS}, Auth("conformance", key)


class Recorder:
    """Keeps the outcomes of a session, and the clusters of one class at a time."""

    def __init__(self) -> None:
        self._faces: dict[type, _Face] = {}
        self._current: _Face | None = None

    @contextmanager
    def environment(self, cls: type[RuntimeConformance]) -> Iterator[Clusters]:
        """Give the clusters of a class, with its key and lease in the environment of this process for the block."""
        face = self.face(cls)
        with pytest.MonkeyPatch.context() as patch:
            for variable in _OWN:
                patch.delenv(variable, raising=False)
            if "OMRUNTIME_LEASE" in face.env:
                patch.setenv("OMRUNTIME_LEASE", face.env["OMRUNTIME_LEASE"])
            yield face.clusters

    def face(self, cls: type[RuntimeConformance]) -> _Face:
        """Return what is kept of a class, and stop the clusters of any other."""
        if cls not in self._faces:
            self._faces[cls] = _Face(cls)
        face = self._faces[cls]
        if self._current is not face:
            self.close()
            self._current = face
        return face

    def close(self) -> None:
        """Stop the clusters of the present class."""
        if self._current is not None:
            self._current.clusters.close()
            self._current = None

    def add(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Keep what a phase of a test says of its rule."""
        face = self._faces.get(getattr(item, "cls", None) or type(None))
        if face is None or (rule := rule_of(item)) is None:
            return
        if (outcome := _outcome(rule, item, report)) is None:
            return
        kept = face.outcomes.setdefault(rule.id, [])
        if report.when == "teardown":
            kept[-1:] = [outcome]
        else:
            kept.append(outcome)

    def reports(self) -> list[Report]:
        """Return the reports of all classes that have run."""
        return [face.report() for face in self._faces.values()]

    def write(self, path: Path) -> None:
        """Write the reports: one to the file, several into the directory, each named as its class.

        Raises:
            pytest.UsageError: there are several and the path is a file's.
        """
        faces = list(self._faces.values())
        if not path.is_dir() and len(faces) > 1:
            names = ", ".join(face.cls.__name__ for face in faces)
            raise pytest.UsageError(f"--conformance-report {path}: {names} ran; give a directory that exists")
        for face in faces:
            write_report(face.report(), path / f"{face.cls.__name__}.json" if path.is_dir() else path)


def _outcome(rule: Rule, item: pytest.Item, report: pytest.TestReport) -> Outcome | None:
    seconds = round(report.duration, 3)
    if report.failed:
        return Outcome(rule.id, Status.FAILED, _reason(report), seconds=seconds, failures=1, detail=_detail(report))
    if report.when != "call":
        return None
    if hasattr(report, "wasxfail"):
        link = report.wasxfail.removeprefix("reason: ")
        return Outcome(rule.id, Status.KNOWN, f"as is known: {_reason(report)}", link=link, seconds=seconds)
    verdict = item.stash[VERDICT]
    failures = int(verdict.status.is_failure)
    return Outcome(rule.id, verdict.status, mask_text(verdict.reason), seconds=seconds, failures=failures)


def _reason(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr)
    return mask_text(next(iter(text.splitlines()), ""))


def _detail(report: pytest.TestReport) -> str:
    parts = [report.longreprtext, *(f"{title}\n{text.rstrip()}" for title, text in report.sections if text.strip())]
    text = mask_text("\n".join(parts))
    return text if len(text) <= _DETAIL_LIMIT else f"{text[:_DETAIL_LIMIT]}\n[{len(text)} characters, cut here]"
