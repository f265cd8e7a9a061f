"""One bucket of an object store: finding revisions and loading what they name."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any

from omruntime.abc.kind import Stored
from omruntime.abc.store import Store
from omruntime.auth import Auth
from omruntime.errors import ObjectNotFound, SelectorError
from omruntime.kinds.registry import registry
from omruntime.store.chunks import Chunks
from omruntime.store.content import Content, missing
from omruntime.store.metadata import Metadata
from omruntime.store.names import NOUNS, close_to
from omruntime.store.records import Record, Row
from omruntime.store.revisions import Revisions
from omruntime.store.selectors import Selector, columns_of
from omruntime.store.staging import Stage
from omruntime.store.writing import Writing

__all__ = ["HOLDERS", "Shelf", "load_options"]

HOLDERS = {"data/": "datasets", "models/": "models", "scripts/": "scripts", "jobs/": "jobs"}
"""Prefixes, and what an Omega calls the store of each."""

_LOOKS = 5
_MOST_NAMES = 10_000


class Shelf:
    """The objects with one prefix in one bucket.

    Args:
        store: where they are.
        bucket: the bucket.
        prefix: the prefix.
        auth: who signs and checks.
        visible: tells whether the task that staged a record has won.
        stage: the attempt that writes belong to.
    """

    def __init__(
        self,
        store: Store,
        bucket: str,
        prefix: str,
        auth: Callable[[], Auth],
        visible: Callable[[Record], bool],
        stage: Stage | None,
    ) -> None:
        self._store = store
        self._scope = (bucket, prefix)
        self._auth = auth
        self.revisions = Revisions(store, bucket, prefix, visible)
        self.writing = Writing(store, self.revisions, bucket, prefix, auth, stage)

    def find(self, selector: Selector, older: int = 0) -> Row | None:
        """Return the revision that a selector asks for, or one that is ``older`` by so many; None without one."""
        if selector.tag is not None:
            versions = self.revisions.versions(selector.name)
            return next((row for row in versions if row.record.tag == selector.tag), None)
        if selector.back:
            return next(itertools.islice(self.revisions.versions(selector.name), selector.back, None), None)
        return next(itertools.islice(self.revisions.history(selector.name), older, None), None)

    def row(self, selector: Selector) -> Row:
        """Return the revision that a selector asks for.

        Raises:
            ObjectNotFound: there is none.
        """
        row = self.find(selector)
        if row is None:
            raise self.not_found(selector)
        return row

    def get(self, selector: Selector, squeeze: bool, options: dict[str, Any]) -> Any:
        """Load what a selector asks for."""
        lost: FileNotFoundError | None = None
        for look in range(_LOOKS):
            # First look again: what was read may have been replaced and swept. Then look behind a revision whose
            # writer was killed before it could see that a sweeper had been faster.
            row = self.find(selector, older=max(0, look - 1) if self._scope[1] != "models/" else 0)
            if row is None:
                break
            try:
                return self._load(row, selector, squeeze, options)
            except FileNotFoundError as exc:
                lost = exc
        if lost is not None:
            raise missing((*self._scope, selector.name), lost) from lost
        raise self.not_found(selector)

    def _load(self, row: Row, selector: Selector, squeeze: bool, options: dict[str, Any]) -> Any:
        record = row.record
        kind = registry().named(record.kind)
        content = Content(self._store, self._auth, (*self._scope, selector.name), record.kind, record.blobs)
        stored = Stored(record.detail, tuple(ref.name for ref in record.blobs), record.attributes)
        options = {**options, **load_options(record, selector)}
        if squeeze and "columns" in record.detail:
            options["squeeze"] = True
        if not selector.chunk:
            return kind.load(stored, content, **options)

        def load_rows(rows: tuple[int, int]) -> Any:
            try:
                return kind.load(stored, content, rows=rows, **options)
            except FileNotFoundError as exc:
                raise missing((*self._scope, selector.name), exc) from exc

        return Chunks(load_rows, record.detail["rows"], selector.chunk)

    def metadata(self, row: Row, name: str) -> Metadata:
        """Return what users see of a revision, bound to this shelf."""
        meta = row.metadata(name, *self._scope)
        self.bind(meta)
        return meta

    def bind(self, meta: Metadata) -> None:
        """Let metadata be saved here, and tell of the versions that there are beside it."""
        meta.bind(self.save, self._versions if self._scope[1] == "models/" else None)

    def _versions(self, meta: Metadata) -> list[Metadata]:
        return [row.metadata(meta.name, *self._scope) for row in self.revisions.versions(meta.name)]

    def save(self, meta: Metadata) -> None:
        """Write the attributes of metadata and renew it."""
        row = self.writing.save(meta)
        meta.revision, meta.modified = row.revision, row.record.modified.astimezone(dt.UTC)

    def not_found(self, selector: Selector) -> ObjectNotFound:
        """Return what to raise for an object or a version that is not there."""
        bucket, prefix = self._scope
        noun = NOUNS[prefix]
        versions = list(self.revisions.versions(selector.name)) if selector.versioned else []
        if versions:
            tags = sorted({row.record.tag for row in versions if row.record.tag})
            return ObjectNotFound(
                f"{noun} {selector.name!r} has no version {selector.text!r}; it has {len(versions)}, with the tags: "
                f"{', '.join(tags) or 'none'}",
                name=selector.text,
            )
        names = (name for name, _row in itertools.islice(self.revisions.names(), _MOST_NAMES))
        close = close_to(selector.name, names)
        meant = f"did you mean {' or '.join(map(repr, close))}?"
        hint = meant if close else f"om.{HOLDERS[prefix]}.list() shows all"
        return ObjectNotFound(
            f"there is no {noun} {selector.name!r} in bucket {bucket!r}; {hint}",
            name=selector.name,
            suggestions=close,
        )


def load_options(record: Record, selector: Selector) -> dict[str, Any]:
    """Return what a kind's ``load`` is told of a selector.

    A kind whose detail has ``columns`` (their labels as text, or their number) takes ``columns``, positions to load;
    one whose detail has ``rows`` takes ``rows``, the first row and the one after the last.
    """
    options: dict[str, Any] = {}
    if selector.columns is not None:
        columns = record.detail.get("columns")
        if columns is None:
            raise SelectorError(
                f"{selector.text!r}: {record.kind} has no columns to select; ask for {selector.name!r}"
            )
        labels = [str(place) for place in range(columns)] if isinstance(columns, int) else columns
        options["columns"] = columns_of(selector, labels)
    if selector.chunk and "rows" not in record.detail:
        raise SelectorError(f"{selector.text!r}: {record.kind} does not come in chunks; ask for {selector.name!r}")
    return options
