"""What a run of the suite found, rule by rule, with a denominator: a partial run cannot look like a whole one."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

__all__ = ["SCHEMA", "Outcome", "Report", "Status", "merged", "read_report", "write_report"]

SCHEMA = 1
"""Version of the form that reports are written in."""


class Status(enum.Enum):
    """How a rule ended; the value is what reports and tables call it."""

    PASSED = "passed"
    REFUSED = "refused"
    """The capability is not declared, and the call was refused as it has to be."""
    REPLACED = "replaced"
    """Another rule holds in its place on this engine."""
    KNOWN = "known failure"
    """It fails in the way that its author has stated, with a link."""
    FAILED = "failed"
    BLOCKED = "blocked"
    """Something that it rests on failed, so it would say nothing."""
    NOT_EXERCISED = "not exercised"
    """It cannot be tried here; the reason says why."""
    NOT_RUN = "not run"
    """Nobody asked for it, or the run ended before its turn."""

    @property
    def is_proof(self) -> bool:
        """Whether the engine has shown what it must."""
        return self in (Status.PASSED, Status.REFUSED)

    @property
    def is_failure(self) -> bool:
        """Whether a run with such a rule has failed."""
        return self in (Status.FAILED, Status.BLOCKED)


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one rule ended on one engine."""

    rule: str
    """Id of the rule."""
    status: Status
    reason: str = ""
    """In a line: why it was not exercised, what blocks it, what failed."""
    link: str = ""
    """Where a known failure is discussed."""
    seconds: float = 0.0
    runs: int = 1
    """How often it was run."""
    failures: int = 0
    """How many of these runs failed; one that neither all failed nor all passed is flaky, which is a failure."""
    detail: str = ""
    """The whole text of a failure."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that a run of the suite on one engine found."""

    schema: int = SCHEMA
    backend: str
    """Name of the engine."""
    variant: str = ""
    """What it was run on, where its harness says so."""
    target: str
    """What was run: a URL without credentials, or the class of a harness."""
    suite: str
    """Version of the suite."""
    core: str
    """Version of omruntime."""
    versions: dict[str, str]
    """Distributions that make up the engine, and their versions."""
    python: str
    """Version of Python that the suite ran on."""
    platform: str
    date: str
    """When the run began: ISO 8601, UTC."""
    seconds: float
    capabilities: list[str]
    """What the opened engine declares; where its clusters differ, what all of them do."""
    outcomes: list[Outcome]
    """One for each rule of the suite, in the order of their ids."""

    @property
    def name(self) -> str:
        """The engine, and what it was run on."""
        return ", ".join(filter(None, (self.backend, self.variant)))

    @property
    def is_complete(self) -> bool:
        """Whether every rule of the suite had its turn."""
        return bool(self.outcomes) and all(each.status is not Status.NOT_RUN for each in self.outcomes)

    @property
    def has_failed(self) -> bool:
        """Whether a rule failed, or none was proved at all."""
        broken = any(each.status.is_failure for each in self.outcomes)
        return broken or not any(each.status is not Status.NOT_RUN for each in self.outcomes)

    def of(self, rule: str) -> Outcome:
        """Return how a rule ended; `Status.NOT_RUN` for one that the report does not know."""
        return next((each for each in self.outcomes if each.rule == rule), Outcome(rule, Status.NOT_RUN))

    def summary(self) -> str:
        """Say in a line what was found, of how many rules."""
        counts = Counter(each.status for each in self.outcomes)
        run = len(self.outcomes) - counts[Status.NOT_RUN]
        parts = [f"{counts[status]} {status.value}" for status in Status if counts[status]]
        partial = "" if self.is_complete else "; a partial run"
        return f"{self.name}: {run} of {len(self.outcomes)} rules run: {', '.join(parts) or 'none'}{partial}"


def merged(outcomes: Iterable[Outcome]) -> Outcome:
    """Return one outcome for all runs of one rule: the worst, with how many of them failed."""
    every = list(outcomes)
    worst = max(every, key=lambda each: list(Status).index(each.status) if each.status.is_failure else -1)
    failures = sum(each.status.is_failure for each in every)
    flaky = f"flaky: failed {failures} of {len(every)} times: " if 0 < failures < len(every) else ""
    return msgspec.structs.replace(
        worst,
        reason=flaky + worst.reason,
        seconds=round(sum(each.seconds for each in every) / len(every), 3),
        runs=len(every),
        failures=failures,
    )


def write_report(report: Report, path: Path) -> None:
    """Write a report as JSON, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    temporary.replace(path)


def read_report(path: Path) -> Report:
    """Read a report.

    Raises:
        ValueError: the file is not there, is no report, or one of another schema.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as exc:
        raise ValueError(f"{path}: cannot be read: {exc.strerror}") from exc
    except msgspec.MsgspecError as exc:
        raise ValueError(
            f"{path}: this is no report of the suite ({exc}); 'omruntime-conformance run URL --json {path}' makes one"
        ) from exc
    if found.schema != SCHEMA:
        raise ValueError(f"{path}: a report of schema {found.schema}, this suite reads {SCHEMA}; run the suite again")
    return found
