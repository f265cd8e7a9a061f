"""`Metadata`: what is known of a stored object without loading it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from omruntime.errors import OmegaRuntimeError
from omruntime.pictures import Picture, Pictured

__all__ = ["BINDER", "Metadata"]

BINDER: ContextVar[Callable[[Metadata], None] | None] = ContextVar("omruntime_metadata_binder", default=None)
"""Called with every Metadata that is unpickled; it may `Metadata.bind` it to a store."""


class Metadata(Pictured):
    """What is known of one version of a stored object.

    Attributes:
        name: name of the object.
        bucket: the bucket it is in.
        prefix: the store it is in: ``data/``, ``models/``, ``scripts/`` or ``jobs/``.
        kind: how it is stored, like ``pandas.dfrows``.
        attributes: what users and our own actions note about it; change it, then `save`.
        created: when an object of this name was first put.
        modified: when this was last put or saved.
        tag: the tag of the version, None without one.
        version: number of the version of its content; a later one is higher.
        uid: identity of the object: another one after a drop.
        revision: number of the last write, of content or attributes.
    """

    __slots__ = (
        *("_save", "_versions", "attributes", "bucket", "created", "kind", "modified", "name", "prefix", "revision"),
        *("tag", "uid", "version"),
    )

    def __init__(
        self,
        name: str,
        bucket: str,
        prefix: str,
        kind: str,
        attributes: dict[str, Any],
        created: dt.datetime,
        modified: dt.datetime,
        *,
        tag: str | None = None,
        version: int = 0,
        uid: str = "",
        revision: int = 0,
    ) -> None:
        self.name = name
        self.bucket = bucket
        self.prefix = prefix
        self.kind = kind
        self.attributes = attributes
        self.created = created
        self.modified = modified
        self.tag = tag
        self.version = version
        self.uid = uid
        self.revision = revision
        self.bind(None)

    def bind(
        self,
        save: Callable[[Metadata], None] | None,
        versions: Callable[[Metadata], Sequence[Metadata]] | None = None,
    ) -> None:
        """Say what `save` calls, and who knows the versions of the object, where it has such."""
        self._save = save
        self._versions = versions

    def save(self) -> Metadata:
        """Write the attributes and return this metadata, renewed.

        Raises:
            MetadataConflict: somebody else has saved, put or dropped the object since this was read.
            OmegaRuntimeError: it belongs to no open store, because it was unpickled outside of one.
        """
        if self._save is None:
            raise OmegaRuntimeError(
                f"this metadata of {self.name!r} belongs to no open store: read it from one with "
                f"metadata({self.name!r})"
            )
        self._save(self)
        return self

    def _picture(self) -> Picture:
        from omruntime.store.portrait import metadata_picture

        return metadata_picture(self, self._versions)

    def __repr__(self) -> str:
        return (
            f"<Metadata: Metadata(name={self.name},bucket={self.bucket},prefix={self.prefix},"
            f"kind={self.kind},created={self.created})>"
        )

    def __reduce__(self) -> tuple[Callable[..., Metadata], tuple[object, ...]]:
        return _unpickled, (
            (self.name, self.bucket, self.prefix, self.kind, self.attributes, self.created, self.modified),
            {"tag": self.tag, "version": self.version, "uid": self.uid, "revision": self.revision},
        )


def _unpickled(fields: tuple[Any, ...], identity: dict[str, Any]) -> Metadata:
    meta = Metadata(*fields, **identity)
    binder = BINDER.get()
    if binder is not None:
        binder(meta)
    return meta
