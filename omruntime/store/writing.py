"""How an object store writes: content first, then a revision that names it, then what it replaces goes."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from omruntime.abc.kind import Kind, Stored
from omruntime.abc.store import Store
from omruntime.auth import Auth
from omruntime.errors import MetadataConflict, SerializationError
from omruntime.store.content import Content, new_mark
from omruntime.store.metadata import Metadata
from omruntime.store.records import BlobRef, Record, Row, settled
from omruntime.store.revisions import Revisions, marks
from omruntime.store.runs import without_runs
from omruntime.store.staging import Effect, Stage

__all__ = ["Writing"]


class _Moved(Exception):
    """The object is not any more what the operation was built on."""


class Writing:
    """Puts, saves and drops for one `ObjectStore`.

    Args:
        store: where blobs go.
        revisions: where records go.
        bucket: the bucket.
        prefix: the prefix; ``models/`` keeps what a put replaces.
        auth: who signs.
        stage: the attempt that the writes belong to, None when they are current at once.
    """

    def __init__(
        self,
        store: Store,
        revisions: Revisions,
        bucket: str,
        prefix: str,
        auth: Callable[[], Auth],
        stage: Stage | None,
    ) -> None:
        self._store = store
        self._revisions = revisions
        self._bucket = bucket
        self._prefix = prefix
        self._auth = auth
        self._stage = stage
        self.effects: dict[str, Effect] = {}
        """Staged revisions by key, in the order they were written."""

    def put(
        self,
        kind: Kind,
        obj: object,
        name: str,
        append: bool,
        tag: str | None,
        attributes: dict[str, Any],
        options: dict[str, Any],
    ) -> Row:
        """Store an object and return its revision."""
        row: Row | None = None
        while row is None:
            current = self._revisions.current(name) if append else None
            with self._content(name, kind.name, current.record.blobs if current else ()) as content:
                previous = _previous(current, kind, name)
                stored = kind.put(obj, name, content, previous=previous, **options)
                refs = content.refs(stored.blobs)
                row = self._record_content(name, content, current, append, (kind.name, stored, refs, tag, attributes))
        return row

    def _record_content(
        self,
        name: str,
        content: Content,
        base: Row | None,
        append: bool,
        facts: tuple[str, Stored, tuple[BlobRef, ...], str | None, dict[str, Any]],
    ) -> Row | None:
        """Insert the revision of new content; None when an append has to be done again on what is there now."""
        kind, stored, refs, tag, attributes = facts
        mark = new_mark()

        def build(current: Row | None, revision: int) -> Record:
            if append and _identity(current) != _identity(base):
                raise _Moved
            now = _now()
            return Record(
                uid=current.record.uid if current else uuid.uuid4().hex,
                version=revision,
                kind=kind,
                created=current.record.created if current else now,
                modified=now,
                detail=stored.detail,
                blobs=refs,
                attributes={**_kept(current), **stored.attributes, **attributes},
                own=tuple(stored.attributes),
                tag=tag,
                recent=marks(current, mark),
                **self._owner(),
            )

        try:
            holding = content.hold()
            row = self._revisions.insert(name, build)
            holding.confirm()
        except (_Moved, FileNotFoundError):
            # Somebody else has appended meanwhile, or a sweeper took a blob before its record was written.
            return None
        if append and not self._revisions.holds(name, mark, row):
            return None
        self._replace(name, row)
        return row

    def _replace(self, name: str, row: Row) -> None:
        """Remove what a revision has replaced, or note it where the revision is only staged."""
        older = [each for each in self._revisions.rows(name) if each.revision < row.revision]
        replaced = [each for each in older if not each.record.staged and self._is_replaced(each.record, row.record)]
        if self._stage is None:
            self._revisions.remove(replaced)
            return
        own = [each for each in older if each.key in self.effects and self._is_replaced(each.record, row.record)]
        for each in own:
            del self.effects[each.key]
        self._revisions.remove(own)
        effect = Effect(row.key, settled(row.record), tuple(each.key for each in replaced), self._stage.kept)
        self.effects[row.key] = effect

    def _owner(self) -> dict[str, Any]:
        """Return the fields of a record that say for which attempt it is staged."""
        return self._stage._asdict() if self._stage is not None else {}

    def _is_replaced(self, old: Record, new: Record) -> bool:
        return self._prefix != "models/" or old.version == new.version

    def save(self, meta: Metadata) -> Row:
        """Write the attributes of metadata that was read before.

        Raises:
            MetadataConflict: it is not the current revision any more.
        """
        mark = new_mark()

        def build(current: Row | None, revision: int) -> Record:
            if current is None or (current.record.uid, current.revision) != (meta.uid, meta.revision):
                raise _conflict(meta, current)
            return msgspec.structs.replace(
                current.record,
                attributes=without_runs(meta.attributes) if self._prefix == "jobs/" else meta.attributes,
                modified=_now(),
                recent=marks(current, mark),
                **self._owner(),
            )

        row = self._revisions.insert(meta.name, build)
        if not self._revisions.holds(meta.name, mark, row):
            raise _conflict(meta, self._revisions.current(meta.name))
        self._replace(meta.name, row)
        return row

    def drop(self, name: str) -> bool:
        """Remove an object and tell whether there was one; of several at once only one is told so."""
        while True:
            mark = new_mark()

            def build(current: Row | None, revision: int, mark: bytes = mark) -> Record:
                if current is None:
                    raise _Moved
                now = _now()
                return Record(
                    uid=current.record.uid,
                    version=revision,
                    kind=current.record.kind,
                    created=current.record.created,
                    modified=now,
                    dropped=True,
                    recent=marks(current, mark),
                )

            try:
                row = self._revisions.insert(name, build)
            except _Moved:
                return False
            if self._revisions.holds(name, mark, row):
                self._revisions.remove([each for each in self._revisions.rows(name) if each.revision < row.revision])
                return True
            self._revisions.remove([row])

    def _content(self, name: str, kind: str, refs: tuple[BlobRef, ...]) -> Content:
        return Content(self._store, self._auth, (self._bucket, self._prefix, name), kind, refs)


def _previous(current: Row | None, kind: Kind, name: str) -> Stored | None:
    if current is None:
        return None
    record = current.record
    if record.kind != kind.name:
        raise SerializationError(
            f"cannot append to {name!r}: it is of kind {record.kind}, what is appended of kind {kind.name}"
        )
    return Stored(record.detail, tuple(ref.name for ref in record.blobs), record.attributes)


def _identity(row: Row | None) -> tuple[str, int] | None:
    return None if row is None else (row.record.uid, row.record.version)


def _kept(current: Row | None) -> dict[str, Any]:
    if current is None:
        return {}
    return {key: value for key, value in current.record.attributes.items() if key not in current.record.own}


def _conflict(meta: Metadata, current: Row | None) -> MetadataConflict:
    happened = "dropped" if current is None else f"changed at {current.record.modified:%Y-%m-%d %H:%M:%S} UTC"
    return MetadataConflict(
        f"{meta.prefix}{meta.name} (bucket {meta.bucket}) was {happened}, after this metadata was read; read it "
        "again with metadata(), make the change, and save that"
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
