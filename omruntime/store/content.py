"""The content of one object: blobs named by their digest, signed where loading them runs code."""

from __future__ import annotations

import hashlib
import io
import secrets
import time
from collections.abc import Callable, Iterable
from typing import BinaryIO, Self

import msgspec

from omruntime.abc.store import Buffer, Space, Store
from omruntime.auth import Auth
from omruntime.errors import SignatureError, StoreUnavailable
from omruntime.store.records import BlobRef, base_key
from omruntime.store.spooling import NewBlobs

__all__ = ["PREFIX", "Content", "doom_key", "wait_for_sweepers"]

PREFIX = "o-"
"""How the names of blobs begin that objects are made of."""

MARK_LIFETIME = 30.0
"""Seconds within which a sweeper deletes what it has marked, or never."""


def doom_key(blob: str) -> str:
    """Return the key by which a sweeper announces that it deletes a blob."""
    return base_key("", "doomed") + blob


class Content:
    """Writes and reads the blobs of one object; whoever writes ends it by ``with``.

    Args:
        store: where the blobs are.
        auth: who signs and checks.
        scope: bucket, prefix and name of the object.
        kind: name of its kind; a signature holds for this scope and kind alone.
        refs: the blobs that its record names.
    """

    def __init__(
        self,
        store: Store,
        auth: Callable[[], Auth],
        scope: tuple[str, str, str],
        kind: str,
        refs: Iterable[BlobRef] = (),
    ) -> None:
        self._store = store
        self._auth = auth
        self._scope = scope
        self._kind = kind
        self._refs = {ref.name: ref for ref in refs}
        self._blobs = NewBlobs(store, PREFIX)
        self._new: list[str] = []

    def write(self, chunks: Iterable[Buffer], *, pickled: bool = False) -> str:
        """Write a content-addressed blob and return its name; ``pickled`` ones are signed."""
        name, size = self._blobs.write(chunks)
        ref = BlobRef(name, size)
        if pickled:
            auth = self._auth()
            ref = BlobRef(name, size, auth.sign(self._signed(ref)), auth.key_id)
        self._refs[name] = ref
        self._new.append(name)
        return name

    def read(self, name: str, *, pickled: bool = False) -> Buffer:
        """Return a whole blob.

        Raises:
            SignatureError: it is signed, or must be because it is ``pickled``, and the signature does not fit.
        """
        ref = self._refs.get(name)
        if pickled or (ref is not None and ref.mac):
            return self._checked(name, ref)
        return self._store.read_blob(name)

    def open(self, name: str) -> BinaryIO:
        """Open a blob as a seekable stream; of a signed one the checked content."""
        ref = self._refs.get(name)
        if ref is not None and ref.mac:
            return io.BytesIO(self._checked(name, ref))
        return self._store.open_blob(name)

    def refs(self, names: Iterable[str]) -> tuple[BlobRef, ...]:
        """Return what a record says of these blobs."""
        return tuple(self._refs[name] for name in dict.fromkeys(names))

    def hold(self) -> Holding:
        """Keep the new blobs from a sweeper until their record is there.

        Raises:
            FileNotFoundError: a sweeper was faster.
        """
        return Holding(self._store, self._blobs, dict.fromkeys(self._new))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._blobs.__exit__(*exc)

    def _checked(self, name: str, ref: BlobRef | None) -> bytes:
        if ref is None or not ref.mac:
            raise SignatureError(
                f"{self._named()} is refused: loading it would run code, and nobody has signed it; put it again"
            )
        # Read into memory of our own before it is checked, so that nobody can change it in between.
        with self._store.open_blob(name) as stream:
            data = stream.read()
        if name != PREFIX + hashlib.sha256(data).hexdigest():
            raise SignatureError(f"{self._named()} is refused: its content was altered; put it again")
        try:
            self._auth().verify(self._signed(ref), ref.mac, ref.key_id)
        except SignatureError as exc:
            raise SignatureError(f"{self._named()} is refused: {exc}") from None
        return data

    def _signed(self, ref: BlobRef) -> bytes:
        return msgspec.msgpack.encode(["omruntime object 1", *self._scope, self._kind, ref.name, ref.size])

    def _named(self) -> str:
        bucket, prefix, name = self._scope
        return f"{prefix}{name} (bucket {bucket})"


class Holding:
    """Keeps the content of new blobs while their record is written, and puts back what a sweeper took meanwhile.

    A sweeper announces what it is going to delete, looks once more for records that name it, and deletes. So a record
    written before that look saves the blob, and whoever writes one after it sees the announcement here, or the gap.
    """

    def __init__(self, store: Store, blobs: NewBlobs, names: Iterable[str]) -> None:
        self._store = store
        self._blobs = blobs
        self._names = list(names)
        blobs.hold(self._names)

    def confirm(self) -> None:
        """Return when all blobs are there, and no sweeper is about to delete one of them."""
        if self._names:
            wait_for_sweepers(self._store, self._names)
            self._blobs.restore(self._names)


def wait_for_sweepers(store: Store, names: Iterable[str]) -> None:
    """Return when no sweeper is about to delete one of these blobs."""
    keys = [doom_key(name) for name in names]
    seen: dict[str, tuple[bytes, float]] = {}
    pause = 0.001
    while marks := store.get(Space.OBJECTS, keys):
        now = time.monotonic()
        for key, nonce in marks.items():
            if seen.get(key, (b"",))[0] != nonce:
                seen[key] = (nonce, now)
        if all(now - seen[key][1] > 2 * MARK_LIFETIME for key in marks):
            # Their sweeper is dead or late, and a late one deletes nothing.
            return
        time.sleep(pause)
        pause = min(2 * pause, 0.1)


def missing(scope: tuple[str, str, str], exc: FileNotFoundError) -> StoreUnavailable:
    """Return what to raise when a record names a blob that is not there."""
    bucket, prefix, name = scope
    return StoreUnavailable(
        f"the content of {prefix}{name} (bucket {bucket}) is gone from the store ({exc.filename}): restore it, or "
        "put the object again"
    )


def new_mark() -> bytes:
    """Return a mark that no other operation has."""
    return secrets.token_bytes(6)
