"""No secret shows: in URLs, in texts that hold some, in values that go by a secret's name."""

from __future__ import annotations

import pytest

from omruntime.masking import mask, mask_text, masked


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://user:secret@host/db", "mongodb://user:***@host/db"),
        ("mongodb://:secret@host/db?tls=1", "mongodb://:***@host/db?tls=1"),
        ("x://host/db?password=secret&a=1", "x://host/db?password=***&a=1"),
        ("x://h?a=1&authToken=secret#f", "x://h?a=1&authToken=***#f"),
        ("sqlite:////a/b:c@d", "sqlite:////a/b:c@d"),
        ("x://user@host", "x://user@host"),
        ("mongodb://me:se;cret@host/db", "mongodb://me:***@host/db"),
        (
            "mongodb://h/db?authMechanismProperties=AWS_SESSION_TOKEN:secret&sslPEMPassphrase=secret",
            "mongodb://h/db?authMechanismProperties=***&sslPEMPassphrase=***",
        ),
        ("x://me:se/c#r?e@t@host:1/0", "x://me:***@host:1/0"),
        ("x://:secret@host;x://:secret@other/0", "x://:***@host;x://:***@other/0"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert mask(url) == shown


def test_urls_in_a_text_are_masked_and_the_rest_is_left() -> None:
    text = "see redis://me:secret@h/0 and\nhttp://h:80/?token=secret&x=1 or write to a@b.c"
    assert mask_text(text) == "see redis://me:***@h/0 and\nhttp://h:80/?token=***&x=1 or write to a@b.c"
    assert mask_text("10:30 a@b") == "10:30 a@b"


def test_values_by_the_name_of_a_secret_are_masked_wherever_they_are() -> None:
    given = {
        "password": "hidden",
        "db": {"api_key": "hidden", "user": "me"},
        "list": [{"access-token": b"hidden"}],
        "DB_PASSWORD": "hidden",
        "tokens": ["a"],
        "key": "column",
        "token": 512,
        "secret": "",
        3: "three",
    }
    shown = masked(given)
    assert "hidden" not in str(shown)
    assert shown["db"] == {"api_key": "***", "user": "me"}
    assert {name: shown[name] for name in ("tokens", "key", "token", "secret", 3)} == {
        "tokens": ["a"],
        "key": "column",
        "token": 512,
        "secret": "",
        3: "three",
    }
    assert given["password"] == "hidden"
    assert masked("x", "password") == "***"


def test_a_value_that_holds_itself_is_no_trap() -> None:
    endless: list[object] = [1]
    endless.append(endless)
    assert masked(endless)[0] == 1
