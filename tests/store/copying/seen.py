"""What is in a store, such that two can be compared, and what must be true of one at any moment."""

from __future__ import annotations

import hashlib

from omruntime.abc import Space, Store
from omruntime.ledger import CANVAS_NAMES, FINAL
from omruntime.ledger.facts import End, decode
from omruntime.store import decode_record
from omruntime.store.content import PREFIX

__all__ = ["assert_whole", "contents"]

COPIED = ("claim:", "end:", "logs:", "canvas:")


def contents(store: Store) -> dict[str, str]:
    """Return the digests of all that a copy has, by key."""
    found = {f"blob {name}": digest for name, digest in _blobs(store).items()}
    found.update({f"object {key}": _digest(value) for key, value in store.scan(Space.OBJECTS, "")})
    rows = [row for prefix in COPIED for row in store.scan(Space.LEDGER, prefix)]
    return {**found, **{f"fact {key}": _digest(value) for key, value in rows}}


def assert_whole(store: Store) -> None:
    """Check that no record names content that is not there, and no fact of a task says what is not so."""
    blobs = _blobs(store)
    for key, value in store.scan(Space.OBJECTS, ""):
        gone = [ref.name for ref in decode_record(value).blobs if ref.name not in blobs]
        assert not gone, f"{key!r} names {gone}"
    ends = {key: decode(End, value) for key, value in store.scan(Space.LEDGER, "end:")}
    for key, end in ends.items():
        assert all(name in blobs for name in end.blobs), f"{key} has lost its value"
        task = key.split(":")[1]
        over = end.state in FINAL or any(
            each.split(":")[1] == task and other.state in FINAL for each, other in ends.items()
        )
        assert over, f"{key} is of a task that nobody can end"
        if end.name.startswith(CANVAS_NAMES):
            assert store.get(Space.LEDGER, [f"canvas:{task}"]), f"canvas {task} has lost its plan"
    assert all(digest == name.removeprefix(PREFIX) for name, digest in blobs.items() if name.startswith(PREFIX))


def _blobs(store: Store) -> dict[str, str]:
    found = {}
    for info in store.blobs():
        with store.open_blob(info.name) as stream:
            found[info.name] = _digest(stream.read())
    return found


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
