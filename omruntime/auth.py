"""Keys: who may send calls, end tasks and store pickles.

Where keys come from, in this order: the ``auth`` argument, the environment variable ``OMRUNTIME_KEY``, the key file
in the user's configuration directory, which is made at first use. Several keys separated by commas are accepted for
rotation; the first one signs.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import platformdirs

from omruntime.errors import SignatureError

__all__ = ["KEY_VARIABLE", "Auth", "default_auth", "inherit", "key_file"]

KEY_VARIABLE = "OMRUNTIME_KEY"
_inherited: list[Auth] = []


def _key_id(key: str) -> str:
    """Return a public name of a key that says nothing about it."""
    return hashlib.sha256(b"omruntime key id\0" + key.encode()).hexdigest()[:16]


class Auth:
    """A user with the keys that sign and check what the user's programs exchange.

    Args:
        user: a name for people; no right depends on it.
        key: the secret; several separated by commas are all accepted, and the first one signs.
    """

    __slots__ = ("_keys", "key_id", "user")

    def __init__(self, user: str, key: str) -> None:
        keys = [part.strip() for part in key.split(",") if part.strip()]
        if not keys:
            raise ValueError("an Auth needs a key that is not empty; 'omruntime key --new' makes one")
        self.user = user
        self.key_id = _key_id(keys[0])
        self._keys = {_key_id(each): each.encode() for each in keys}

    def sign(self, data: bytes) -> bytes:
        """Return the HMAC-SHA256 (RFC 2104) of ``data`` under the signing key, 32 bytes."""
        return hmac.digest(self._keys[self.key_id], data, "sha256")

    def verify(self, data: bytes, mac: bytes, key_id: str) -> None:
        """Check a signature in constant time.

        Raises:
            SignatureError: the key is not ours, or the signature does not fit the data.
        """
        key = self._keys.get(key_id)
        if key is None:
            raise SignatureError(
                f"signed with key {key_id[:16]!r}, which is not among ours ({', '.join(sorted(self._keys))}); "
                "give both sides the same key: 'omruntime key' prints how"
            )
        if not hmac.compare_digest(hmac.digest(key, data, "sha256"), mac):
            raise SignatureError(f"the signature does not fit (key {key_id}): altered on the way or at rest")

    def accepts(self, other: Auth) -> bool:
        """Tell whether what the other signs is accepted here."""
        return other.key_id in self._keys

    def secret(self) -> str:
        """Return the keys as `Auth` takes them, for handing them to a process of ours by a pipe."""
        ordered = [self._keys[self.key_id], *(key for id, key in self._keys.items() if id != self.key_id)]
        return ",".join(key.decode() for key in ordered)

    def __eq__(self, other: object) -> bool:
        # Which key signs belongs to it too.
        mine = (self.user, self.key_id, self._keys)
        return isinstance(other, Auth) and mine == (other.user, other.key_id, other._keys)

    def __hash__(self) -> int:
        return hash((self.user, self.key_id))

    def __repr__(self) -> str:
        return f"Auth(user={self.user!r}, key='***' [{self.key_id}])"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("an Auth is not pickled, so that no key travels with data; make it where it is needed")


def key_file() -> Path:
    """Return the path of this user's key file."""
    return Path(platformdirs.user_config_dir("omruntime")) / "key"


def new_key() -> str:
    """Return a fresh random key of 256 bits."""
    return secrets.token_urlsafe(32)


def inherit(user: str, keys: str) -> None:
    """Make these the keys of this process, which a process of ours has started and told them by a pipe."""
    _inherited.append(Auth(user, keys))


def default_auth() -> Auth:
    """Return the keys of the environment, else those of the key file, which is made when there is none."""
    if _inherited:
        return _inherited[-1]
    from_environment = os.environ.get(KEY_VARIABLE, "").strip()
    return Auth(_user_name(), from_environment or _read_or_make(key_file()))


def _user_name() -> str:
    return os.environ.get("USER") or os.environ.get("LOGNAME") or f"uid-{os.getuid()}"


def _read_or_make(path: Path) -> str:
    try:
        return _read_private(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".key-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(new_key() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    try:
        # A link fails where the file exists, so of two first uses at once both read the same key.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return _read_private(path)


def _read_private(path: Path) -> str:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise SignatureError(f"the key file {path} can be read by others (mode {mode:o}); run: chmod 600 {path}")
    key = path.read_text().strip()
    if not key:
        raise SignatureError(f"the key file {path} is empty; delete it to have a new key made")
    return key
