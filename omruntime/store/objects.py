"""`ObjectStore`: what users hold as ``om.datasets``, ``om.models``, ``om.scripts`` and ``om.jobs``."""

from __future__ import annotations

import builtins
import dataclasses
import fnmatch
import itertools
import re
from collections.abc import Callable
from typing import Any

from omruntime.abc.store import Space, Store
from omruntime.auth import Auth
from omruntime.errors import InvalidName, ObjectNotFound, SelectorError
from omruntime.kinds.notebooks import notebook_of
from omruntime.kinds.registry import registry
from omruntime.store.metadata import Metadata
from omruntime.store.names import canonical, check_bucket, check_name, check_tag, hidden
from omruntime.store.records import Record, Row
from omruntime.store.runs import with_runs
from omruntime.store.selectors import Selector, parse
from omruntime.store.shelf import HOLDERS, Shelf, load_options
from omruntime.store.staging import Effect, Stage

__all__ = ["ObjectStore"]

_MOST_SEEN = 1000
_LITERAL = re.compile(r"[^*?\[]*")


class ObjectStore:
    """Objects with one prefix in one bucket of a store.

    Args:
        store: where they are.
        prefix: ``data/``, ``models/``, ``scripts/`` or ``jobs/``.
        bucket: the bucket.
        auth: keys that sign what runs code when it is loaded, or a function that returns them.
        committed: tells whether an attempt of a task has won, or given True whether it has ended its task in any way;
            what others have staged is invisible until then.
        stage: the attempt for which this store writes, None when what is put is current at once.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        bucket: str,
        auth: Auth | Callable[[], Auth],
        committed: Callable[[str, int, bool], bool] | None = None,
        stage: Stage | None = None,
    ) -> None:
        if prefix not in HOLDERS:
            raise ValueError(f"{prefix!r} is no prefix of a store of objects; there are: {', '.join(HOLDERS)}")
        self.store = store
        self.prefix = prefix
        self.bucket = check_bucket(bucket)
        self._auth: Callable[[], Auth] = (lambda: auth) if isinstance(auth, Auth) else auth
        self._committed = committed
        self._stage = stage
        self._shelf = self._shelf_of(bucket)
        self._seen: dict[str, tuple[object, Row]] = {}

    @property
    def effects(self) -> builtins.list[Effect]:
        """What this view has staged, to be settled with the end of its task; empty for a store that is no view."""
        return list(self._shelf.writing.effects.values())

    def staged(self, task: str, attempt: int, *, kept: bool = False) -> ObjectStore:
        """Return a view whose writes become current only when this attempt of the task has won.

        Args:
            task: id of the task.
            attempt: number of the attempt.
            kept: they become current with whatever end of the task this attempt comes to.
        """
        return self._like(self.bucket, Stage(task, attempt, kept))

    def in_bucket(self, bucket: str) -> ObjectStore:
        """Return the same store of objects in another bucket."""
        return self if bucket == self.bucket else self._like(bucket, self._stage)

    def put(
        self,
        obj: object,
        name: str,
        *,
        append: bool = False,
        tag: str | None = None,
        attributes: dict[str, Any] | None = None,
        **options: Any,
    ) -> Metadata:
        """Store an object under a name and return its metadata.

        What was there is replaced; in ``models/`` it stays as a version. Attributes of the object stay as well, but
        for those that described its content.

        Args:
            obj: the object.
            name: its name.
            append: add rows to a dataset that is there.
            tag: tag of the version, for ``name@tag``.
            attributes: attributes to add.
            **options: what the kind of the object takes.

        Raises:
            InvalidName: no object may have this name.
            SerializationError: objects of this type cannot be stored here.
            PackageError: a script package does not build, or needs what is not installed.
        """
        kind = registry().suitable(obj, self.prefix)
        name = canonical(check_name(name), self.prefix)
        if tag is not None and not self.keeps_versions:
            raise SelectorError(f"{self.prefix} keeps no versions, so nothing can be tagged there; models/ does")
        if append and self._stage is not None:
            raise TypeError("a task cannot append before it has won; put the rows under a name of their own")
        tag = check_tag(tag) if tag is not None else None
        row = self._shelf.writing.put(kind, obj, name, append, tag, dict(attributes or {}), options)
        return self._shelf.metadata(row, name)

    def create(self, code: str, name: str, **kw: Any) -> Metadata:
        """Store a notebook with one cell of this source text under a name; in ``jobs/`` only."""
        if self.prefix != "jobs/":
            raise TypeError(f"create() makes notebooks, in om.jobs; use om.{HOLDERS[self.prefix]}.put(obj, name)")
        return self.put(notebook_of(code), name, **kw)

    def get(self, name: str | Metadata, *, squeeze: bool = False, **options: Any) -> Any:
        """Load an object, or what a selector asks for of it.

        Args:
            name: name with selector, or the object's metadata.
            squeeze: a single column comes as a Series or an array of one dimension.
            **options: what the kind of the object takes.

        Raises:
            ObjectNotFound: there is no such object or version.
            SelectorError: the selector does not fit the object.
            SignatureError: what would run code when loaded is unsigned, altered, or signed with another key.
        """
        selector, shelf = self._at(name)
        return shelf.get(selector, squeeze, options)

    def check(self, name: str | Metadata) -> Metadata:
        """Return the metadata of what a name with selector asks for, having checked that it can be had.

        Nothing is loaded.

        Raises:
            ObjectNotFound: there is no such object or version.
            SelectorError: the selector does not fit the object.
        """
        selector, shelf = self._at(name)
        row = shelf.row(selector)
        load_options(row.record, selector)
        return shelf.metadata(row, selector.name)

    def peek(self, name: str) -> Row:
        """Return the record of an object, to be looked at and not changed; cheap where nothing has been stored since.

        Raises:
            ObjectNotFound: there is no such object or version.
        """
        generation = self.store.generation(Space.OBJECTS)
        seen = self._seen.get(name)
        if seen is not None and generation is not None and seen[0] == generation:
            return seen[1]
        selector, shelf = self._at(name)
        row = shelf.row(selector)
        if generation is None or not selector.plain or row.record.staged:
            return row
        if next(shelf.revisions.rows(selector.name)).key == row.key:
            # Whether what is staged is current is told by the ledger, and changes without a change here.
            self._seen[name] = (generation, row)
            if len(self._seen) > _MOST_SEEN:
                self._seen.pop(next(iter(self._seen)))
        return row

    def metadata(self, name: str | Metadata) -> Metadata:
        """Return what is known of an object; of a version with ``name@tag`` and ``name^``."""
        selector, shelf = self._at(name)
        meta = shelf.metadata(shelf.row(selector), selector.name)
        return with_runs(meta, shelf.revisions) if self.prefix == "jobs/" else meta

    def exists(self, name: str | Metadata) -> bool:
        """Tell whether there is such an object or version."""
        selector, shelf = self._at(name)
        return shelf.find(selector) is not None

    def version(self, name: str | Metadata) -> str:
        """Return a text that changes whenever the content does, at the cost of one look-up.

        Raises:
            ObjectNotFound: there is no such object or version.
        """
        selector, shelf = self._at(name)
        record = shelf.row(selector).record
        return f"{record.uid}.{record.version}"

    def size(self, name: str | Metadata) -> int:
        """Return the bytes that the content of an object takes in the store."""
        selector, shelf = self._at(name)
        return sum(ref.size for ref in shelf.row(selector).record.blobs)

    def bind(self, meta: Metadata) -> None:
        """Let metadata that came from another process be saved here."""
        self._shelf_of(meta.bucket).bind(meta)

    def list(self, pattern: str | None = None, raw: bool = False) -> builtins.list[Any]:
        """Return the sorted names that match ``pattern`` (as of a shell), or their metadata with ``raw``.

        Names that begin with ``.`` or ``_`` are left out, unless the pattern begins with that character.
        """
        shows_hidden = pattern is not None and pattern[:1] in (".", "_")
        found = [
            (name, row)
            for name, row in self._shelf.revisions.names(_beginning(pattern or ""))
            if (shows_hidden or not hidden(name)) and (pattern is None or self._matches(name, pattern))
        ]
        return [
            self._shelf.metadata(row, name) if raw else name for name, row in sorted(found, key=lambda each: each[0])
        ]

    def drop(self, name: str | Metadata, force: bool = False) -> bool:
        """Remove an object with all its versions, and return True.

        Raises:
            ObjectNotFound: there is none; with ``force`` False is returned instead.
        """
        selector, shelf = self._at(name)
        if not selector.plain:
            raise InvalidName(f"drop() takes the name of an object, not {selector.text!r}: it drops all of it")
        dropped = shelf.writing.drop(selector.name)
        if not dropped and not force:
            raise shelf.not_found(selector)
        return dropped

    def revisions(self, name: str | Metadata) -> builtins.list[Metadata]:
        """Return the metadata of all versions, the newest first."""
        selector, shelf = self._at(name)
        shelf.row(selector)
        return [shelf.metadata(row, selector.name) for row in shelf.revisions.versions(selector.name)]

    def prune(self, name: str | Metadata, keep: int = 1) -> int:
        """Remove all versions but the newest ``keep``, tagged ones too, and return how many went."""
        if keep < 1:
            raise ValueError(f"prune() keeps at least one version, not {keep}; drop() removes the object")
        selector, shelf = self._at(name)
        shelf.row(selector)
        kept = {row.record.version for row in itertools.islice(shelf.revisions.versions(selector.name), keep)}
        old = [row for row in shelf.revisions.history(selector.name) if row.record.version not in kept]
        shelf.revisions.remove(old)
        return len({row.record.version for row in old})

    def save(self, meta: Metadata) -> None:
        """Write the attributes of metadata of this store and renew it; `Metadata.save` calls this."""
        self._at(meta)[1].save(meta)

    @property
    def keeps_versions(self) -> bool:
        """True where a put leaves what was there as a version."""
        return self.prefix == "models/"

    def _like(self, bucket: str, stage: Stage | None) -> ObjectStore:
        return ObjectStore(
            self.store, self.prefix, bucket=bucket, auth=self._auth, committed=self._committed, stage=stage
        )

    def _matches(self, name: str, pattern: str) -> bool:
        return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, canonical(pattern, self.prefix))

    def _shelf_of(self, bucket: str) -> Shelf:
        return Shelf(
            self.store, bucket, self.prefix, self._auth, _visible_to(self._committed, self._stage), self._stage
        )

    def _at(self, name: str | Metadata) -> tuple[Selector, Shelf]:
        """Return what is asked for, and the shelf that it is on."""
        if isinstance(name, Metadata):
            if name.prefix != self.prefix:
                raise ObjectNotFound(f"{name!r} is in {name.prefix}, not in {self.prefix}", name=name.name)
            shelf = self._shelf if name.bucket == self.bucket else self._shelf_of(name.bucket)
            return Selector(name.name, text=name.name), shelf
        selector = parse(name)
        if selector.versioned and not self.keeps_versions:
            raise SelectorError(f"{name!r}: {self.prefix} keeps no versions; models/ does")
        return dataclasses.replace(selector, name=canonical(selector.name, self.prefix)), self._shelf


def _visible_to(committed: Callable[[str, int, bool], bool] | None, stage: Stage | None) -> Callable[[Record], bool]:
    """Return what tells whether a staged record is seen; it holds no store, which so ends with who holds it."""

    def visible(record: Record) -> bool:
        if stage is not None and (record.task, record.attempt) == stage[:2]:
            return True
        return committed is not None and committed(record.task, record.attempt, record.kept)

    return visible


def _beginning(pattern: str) -> str:
    """Return how all names that match a pattern begin."""
    found = _LITERAL.match(pattern)
    return found.group() if found is not None else ""
