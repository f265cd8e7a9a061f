"""key: which one is in use, a new one, and when the secret is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from omruntime.auth import Auth, default_auth, key_file
from tests.cli.commands import omruntime
from tests.isolation import KEY


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The key file of a user who has none yet."""
    monkeypatch.delenv("OMRUNTIME_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return key_file()


def test_the_key_of_the_environment_is_named_and_not_printed() -> None:
    ran = omruntime("key", "--json")
    assert ran.json["key"] == Auth("u", KEY).key_id
    assert ran.json["from"] == "the variable OMRUNTIME_KEY"
    told = omruntime("key")
    assert KEY not in ran.out + ran.err + told.out + told.err
    assert "--show" in told.err


def test_the_secret_is_printed_when_asked_for() -> None:
    ran = omruntime("key", "--show")
    assert KEY in ran.out
    assert "OMRUNTIME_KEY" in ran.err
    assert omruntime("key", "--show", "--json").json["secret"] == KEY


def test_a_new_key_leaves_the_old_one_accepted(own_file: Path) -> None:
    first = omruntime("key", "--json").json
    assert first["from"] == str(own_file)
    old = default_auth()
    mac = old.sign(b"signed before")
    renewed = omruntime("key", "--new", "--json").json
    assert renewed["key"] != first["key"]
    assert renewed["accepted"] == 2
    now = default_auth()
    assert now.key_id == renewed["key"]
    now.verify(b"signed before", mac, old.key_id)
    assert own_file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in own_file.parent.iterdir()] == ["key"]


def test_the_first_key_is_new_enough(own_file: Path) -> None:
    assert omruntime("key", "--new", "--json").json["accepted"] == 1


def test_a_new_file_would_not_be_used_beside_the_environment() -> None:
    ran = omruntime("key", "--new")
    assert ran.code == 2
    assert "goes before the key file" in ran.err


def test_a_file_that_others_can_read_is_refused(own_file: Path) -> None:
    omruntime("key")
    own_file.chmod(0o644)
    ran = omruntime("key", "--json")
    assert (ran.code, ran.json["error"]["type"]) == (4, "SignatureError")
    assert "chmod 600" in ran.json["error"]["message"]
