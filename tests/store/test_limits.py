"""What a store cannot take is told as what is wrong with the object, not with the store."""

from __future__ import annotations

import pytest

from omruntime.errors import SerializationError
from omruntime.store import ObjectStore

LARGE = 17 << 20
"""Above what a document of MongoDB may have."""


def test_attributes_are_as_large_as_a_record_may_be(datasets: ObjectStore, kind: str) -> None:
    if kind == "mongodb":
        with pytest.raises(SerializationError, match="16 MB"):
            datasets.put(1, "x", attributes={"text": "x" * LARGE})
        assert datasets.list() == []
    else:
        assert len(datasets.put(1, "x", attributes={"text": "x" * LARGE}).attributes["text"]) == LARGE
    datasets.put(2, "x")
    assert datasets.get("x") == 2
