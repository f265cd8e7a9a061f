"""What runs code when it is loaded is signed; altered, unsigned or misplaced, it is refused before it is loaded."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import msgspec
import nbformat
import pandas as pd
import pytest

from omruntime.abc import Group, Space, Store
from omruntime.auth import Auth
from omruntime.errors import SignatureError
from omruntime.store import ObjectStore
from omruntime.store.records import BlobRef, Record, decode, encode
from omruntime.virtual import virtualobj
from tests.store.conftest import Shelves


class Trap:
    """An object whose loading leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def rewrite(store: Store, change: Callable[[Record], Record]) -> None:
    """Change the newest record as somebody could who can write the store and has no key."""
    key, value = store.scan(Space.OBJECTS, "", reverse=True, limit=1)[0]
    store.commit([Group(Space.OBJECTS, {}, [key])])
    store.commit([Group(Space.OBJECTS, {key: encode(change(decode(value)))})])


def blob_of(store: Store) -> str:
    return decode(store.scan(Space.OBJECTS, "", reverse=True, limit=1)[0][1]).blobs[0].name


def put_each(shelf: Shelves, tmp_path: Path) -> dict[str, ObjectStore]:
    notebook = nbformat.from_dict({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    return {
        "data/": _put(shelf("data/"), {1, 2}),
        "models/": _put(shelf("models/"), complex(1)),
        "scripts/": _put(shelf("scripts/"), virtualobj(lambda data=None: data)),
        "jobs/": _put(shelf("jobs/"), notebook),
    }


def _put(objects: ObjectStore, obj: object) -> ObjectStore:
    objects.put(obj, "x")
    return objects


@pytest.mark.parametrize("prefix", ["data/", "models/", "scripts/", "jobs/"])
def test_altered_content_is_refused(prefix: str, shelf: Shelves, store: Store, tmp_path: Path) -> None:
    objects = put_each(shelf, tmp_path)[prefix]
    for info in list(store.blobs("o-")):
        content = bytearray(store.read_blob(info.name))
        content[-1] ^= 1
        store.write_blob(info.name, [content])
    with pytest.raises(SignatureError, match=rf"{prefix}x.*refused.*altered"):
        objects.get("x")


def test_a_pickle_that_was_put_without_the_key_is_never_loaded(
    models: ObjectStore, store: Store, tmp_path: Path
) -> None:
    models.put(complex(1), "m")
    payload = pickle.dumps(Trap(tmp_path / "trapped"))
    name = "o-" + hashlib.sha256(payload).hexdigest()
    size = store.write_blob(name, [payload])
    original = decode(store.scan(Space.OBJECTS, "", reverse=True, limit=1)[0][1]).blobs[0]
    for ref in (
        BlobRef(name, size),
        BlobRef(name, size, original.mac, original.key_id),
        BlobRef(name, size, b"x" * 32, original.key_id),
        BlobRef(name, size, original.mac, "another key"),
    ):
        rewrite(store, lambda record, ref=ref: msgspec.structs.replace(record, detail={"blob": name}, blobs=(ref,)))  # type: ignore[misc]
        with pytest.raises(SignatureError, match="refused"):
            models.get("m")
    rewrite(store, lambda record: msgspec.structs.replace(record, detail={"blob": name}, blobs=()))
    with pytest.raises(SignatureError, match="nobody has signed it"):
        models.get("m")
    assert not (tmp_path / "trapped").exists()


def test_a_frame_cannot_be_turned_into_a_pickle(datasets: ObjectStore, store: Store, tmp_path: Path) -> None:
    payload = pickle.dumps(Trap(tmp_path / "trapped"))
    datasets.put(payload, "d")
    blob = blob_of(store)
    for kind, detail in (
        ("python.pickle", {"blob": blob}),
        ("pandas.dfrows", {"parts": [{"format": "pickle", "blob": blob, "rows": 1}], "rows": 1, "width": 1,
                           "labels": None, "attrs": None, "columns": ["a"]}),
        ("numpy.ndarray", {"blob": blob, "format": "pickle"}),
    ):  # fmt: skip
        rewrite(store, lambda record, k=kind, d=detail: msgspec.structs.replace(record, kind=k, detail=d))  # type: ignore[misc]
        with pytest.raises(SignatureError, match="nobody has signed it"):
            datasets.get("d")
    assert not (tmp_path / "trapped").exists()


def test_a_signature_holds_for_its_object_alone(models: ObjectStore, store: Store, shelf: Shelves) -> None:
    models.put(complex(1), "a")
    stolen = decode(store.scan(Space.OBJECTS, "", reverse=True, limit=1)[0][1])
    models.put(complex(2), "b")
    rewrite(store, lambda record: msgspec.structs.replace(record, detail=stolen.detail, blobs=stolen.blobs))
    with pytest.raises(SignatureError, match="models/b"):
        models.get("b")


def test_another_key_is_refused_and_rotation_accepts_both(shelf: Shelves) -> None:
    old, new = Auth("u", "old"), Auth("u", "new")
    shelf("models/", auth=old).put(complex(1), "m")
    with pytest.raises(SignatureError, match=r"models/m.*not among ours"):
        shelf("models/", auth=new).get("m")
    assert shelf("models/", auth=Auth("u", "new,old")).get("m") == complex(1)


def test_what_runs_no_code_needs_no_key(shelf: Shelves) -> None:
    frame = pd.DataFrame({"x": [1]})
    shelf("data/", auth=Auth("u", "one")).put(frame, "d")

    def no_key() -> Auth:
        raise AssertionError("no key is needed")

    pd.testing.assert_frame_equal(shelf("data/", auth=no_key).get("d"), frame)
