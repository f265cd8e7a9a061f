"""URLs of stores: schemes, and what is said of those that nobody opens."""

from __future__ import annotations

import sys

import pytest

from omruntime.errors import MissingExtra, StoreUnavailable
from omruntime.store import open_store


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mongodb://u:secret@host", "names no database"),
        ("redis://u:secret@host/db", "there are: sqlite://"),
        ("/some/path", "sqlite:///relative"),
        ("", "sqlite:///relative"),
    ],
)
def test_what_cannot_be_opened_says_what_can(url: str, told: str) -> None:
    with pytest.raises(StoreUnavailable, match=told) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_a_store_whose_library_is_not_installed_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(MissingExtra, match=r"pip install 'omruntime\[mongo\]'"):
        open_store("mongodb://u:secret@host/db")
