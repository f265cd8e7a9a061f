"""URLs of stores: schemes, and no password that shows."""

from __future__ import annotations

import pytest

from omruntime.errors import StoreUnavailable
from omruntime.store import mask, open_store


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://user:secret@host/db", "mongodb://user:***@host/db"),
        ("mongodb://:secret@host/db?tls=1", "mongodb://:***@host/db?tls=1"),
        ("x://host/db?password=secret&a=1", "x://host/db?password=***&a=1"),
        ("x://h?a=1&authToken=secret#f", "x://h?a=1&authToken=***#f"),
        ("sqlite:////a/b:c@d", "sqlite:////a/b:c@d"),
        ("x://user@host", "x://user@host"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert mask(url) == shown


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mongodb://u:secret@host/db", r"omruntime\[mongo\]"),
        ("redis://u:secret@host/db", "there are: sqlite://"),
        ("/some/path", "sqlite:///relative"),
        ("", "sqlite:///relative"),
    ],
)
def test_what_cannot_be_opened_says_what_can(url: str, told: str) -> None:
    with pytest.raises(StoreUnavailable, match=told) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)
