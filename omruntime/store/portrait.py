"""What to show of a stored object: what it is, what is noted about it, and its versions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from omruntime.errors import OmegaRuntimeError
from omruntime.masking import masked
from omruntime.pictures.model import Picture, Section, Table, Text
from omruntime.pictures.texts import clipped, clock, pretty
from omruntime.store.metadata import Metadata
from omruntime.store.names import NOUNS
from omruntime.store.runs import JOB_RUNS

__all__ = ["metadata_picture"]

_LINES = 8
_MOST = 40
_STATUS = {"OK": "SUCCESS", "ERROR": "FAILURE"}
"""How the runs of notebooks are said to have ended, and the words for it that tasks have."""


def metadata_picture(meta: Metadata, list_versions: Callable[[Metadata], Sequence[Metadata]] | None) -> Picture:
    """Return what to show of metadata.

    Args:
        meta: the metadata.
        list_versions: returns those of all versions of its object, the newest first; None where there are none.
    """
    versions: Sequence[Metadata] = ()
    sections: list[Section] = []
    try:
        versions = list_versions(meta) if list_versions is not None else ()
    except OmegaRuntimeError as exc:
        # The rest is known without the store.
        sections.append(Text("its versions cannot be listed now", f"{type(exc).__name__}: {exc}", bad=True))
    place = next((place for place, each in enumerate(versions) if each.version == meta.version), None)
    which = f"{len(versions) - place} of {len(versions)}" if place is not None else ""
    facts = (
        ("kind", meta.kind),
        ("bucket", meta.bucket),
        ("version", which),
        ("tag", meta.tag or ""),
        ("created", _clock(meta.created)),
        ("modified", _clock(meta.modified)),
    )
    attributes, runs, run = dict(meta.attributes), (), {}
    if meta.prefix == "jobs/":
        runs, run = attributes.pop(JOB_RUNS, ()), attributes.pop("job_run", {})
    if attributes:
        rows = [(str(name), pretty(masked(value, name), _LINES)) for name, value in attributes.items()]
        sections.insert(0, Table("attributes", ("name", "value"), _cut(rows)))
    if run.get("message"):
        sections.insert(0, Text("error", run["message"], bad=True))
    if runs:
        sections.append(_runs(runs))
    if len(versions) > 1:
        listed = [
            (str(number), each.tag or "", _clock(each.modified))
            for number, each in zip(range(len(versions), 0, -1), versions, strict=True)
        ]
        sections.append(Table("versions", ("version", "tag", "modified"), _cut(listed), folded=True))
    noun = "executed notebook" if run else NOUNS.get(meta.prefix, "object")
    return Picture(meta.name, noun, _STATUS.get(run.get("status", ""), ""), facts, sections)


def _runs(runs: Sequence[dict[str, Any]]) -> Table:
    rows = [
        (_clock(run["ts"]), _STATUS.get(run["status"], ""), run["results"], clipped(run["message"], 1))
        for run in reversed(runs)
    ]
    return Table(f"runs, {len(runs)}, the latest first", ("started", "status", "copy", "error"), _cut(rows))


def _cut(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    return [*rows] if len(rows) <= _MOST else [*rows[:_MOST], ("…", *[""] * (len(rows[0]) - 1))]


def _clock(moment: dt.datetime) -> str:
    return clock(moment.timestamp())
