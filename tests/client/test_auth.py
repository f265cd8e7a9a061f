"""Keys: made once, kept private, and never shown."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from omruntime import Auth
from omruntime.auth import KEY_VARIABLE, default_auth, key_file
from omruntime.errors import SignatureError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has no key yet."""
    monkeypatch.delenv(KEY_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_the_key_file_is_made_at_first_use_for_this_user_alone(home: Path) -> None:
    assert not key_file().exists()
    first = default_auth()
    assert key_file().stat().st_mode & 0o777 == 0o600
    assert key_file().parent.stat().st_mode & 0o777 == 0o700
    assert default_auth() == first
    assert first.secret() == key_file().read_text().strip()
    assert [each.name for each in key_file().parent.iterdir()] == ["key"]


def test_of_many_first_uses_at_once_all_get_the_same_key(home: Path) -> None:
    code = "import sys; sys.stdin.read(); from omruntime.auth import default_auth; print(default_auth().key_id)"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    ids = {process.communicate(timeout=60)[0] for process in processes}
    assert ids == {default_auth().key_id + "\n"}
    assert [each.name for each in key_file().parent.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_key_file_that_others_can_read_is_refused(home: Path, mode: int) -> None:
    default_auth()
    key_file().chmod(mode)
    with pytest.raises(SignatureError, match=f"mode {mode:o}.*chmod 600"):
        default_auth()


def test_an_empty_key_file_is_refused(home: Path) -> None:
    default_auth()
    key_file().write_text("\n")
    with pytest.raises(SignatureError, match="is empty; delete it"):
        default_auth()


def test_the_environment_comes_before_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_file = default_auth()
    monkeypatch.setenv(KEY_VARIABLE, "another")
    assert default_auth().secret() == "another"
    monkeypatch.setenv(KEY_VARIABLE, "  ")
    assert default_auth() == from_file


@pytest.mark.parametrize("key", ["", " ", ",", " , ,"])
def test_no_key_is_no_auth(key: str) -> None:
    with pytest.raises(ValueError, match="needs a key"):
        Auth("me", key)


def test_the_first_key_signs_and_every_one_is_accepted() -> None:
    old, both, new = Auth("me", "old"), Auth("me", "new, old"), Auth("me", "new")
    both.verify(b"data", old.sign(b"data"), old.key_id)
    both.verify(b"data", new.sign(b"data"), new.key_id)
    new.verify(b"data", both.sign(b"data"), both.key_id)
    with pytest.raises(SignatureError, match="not among ours"):
        old.verify(b"data", both.sign(b"data"), both.key_id)
    assert Auth("me", both.secret()) == both


def test_another_data_or_signature_is_refused() -> None:
    auth = Auth("me", "key")
    for data, mac in ((b"other", auth.sign(b"data")), (b"data", b""), (b"data", auth.sign(b"data")[:-1])):
        with pytest.raises(SignatureError, match="does not fit"):
            auth.verify(data, mac, auth.key_id)


def test_equal_auths_sign_alike() -> None:
    one, other = Auth("me", "a,b"), Auth("me", "b,a")
    assert one != other
    assert one == Auth("me", " a , b ")
    assert hash(one) == hash(Auth("me", "a,b"))
    assert one != Auth("you", "a,b")
    assert one != "a,b"


def test_the_key_is_shown_nowhere() -> None:
    auth = Auth("me", "top secret key")
    assert "me" in repr(auth)
    assert "top secret" not in f"{auth!r} {auth} {auth.key_id}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(auth)
    with pytest.raises(SignatureError) as caught:
        auth.verify(b"", b"", "another key")
    assert "top secret" not in str(caught.value)
