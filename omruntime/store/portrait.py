"""What to show of a stored object: what it is, what is noted about it, and its versions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from omruntime.errors import OmegaRuntimeError
from omruntime.masking import masked
from omruntime.pictures.model import Picture, Section, Table, Text
from omruntime.pictures.texts import clock, pretty
from omruntime.store.metadata import Metadata
from omruntime.store.names import NOUNS

__all__ = ["metadata_picture"]

_LINES = 8
_MOST = 40


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
    if meta.attributes:
        rows = [(str(name), pretty(masked(value, name), _LINES)) for name, value in meta.attributes.items()]
        sections.insert(0, Table("attributes", ("name", "value"), _cut(rows)))
    if len(versions) > 1:
        listed = [
            (str(number), each.tag or "", _clock(each.modified))
            for number, each in zip(range(len(versions), 0, -1), versions, strict=True)
        ]
        sections.append(Table("versions", ("version", "tag", "modified"), _cut(listed), folded=True))
    return Picture(meta.name, NOUNS.get(meta.prefix, "object"), facts=facts, sections=sections)


def _cut(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    return [*rows] if len(rows) <= _MOST else [*rows[:_MOST], ("…", *[""] * (len(rows[0]) - 1))]


def _clock(moment: dt.datetime) -> str:
    return clock(moment.timestamp())
