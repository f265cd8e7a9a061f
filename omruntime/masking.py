"""What is shown of URLs and of named values has no secret in it."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["MASK", "mask", "mask_text", "masked"]

MASK = "***"
# A password may hold anything where somebody has forgotten to quote it; a `;` and a URL begin the next one of a list.
_PASSWORD = re.compile(r"(?<=://)([^/?#@:]*):(?:[^\s;]|;(?![A-Za-z][A-Za-z0-9+.-]*://))*@")
_SECRET_OPTION = re.compile(
    r"([?&;](?:[\w.-]*(?:password|passphrase|passwd|pwd|token|secret|key)|authMechanismProperties)=)[^&;#]*",
    re.IGNORECASE,
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_SECRET_NAME = re.compile(
    r"(?:^|[^a-z])(?:password|passphrase|passwd|pwd|token|secret|credentials?"
    r"|(?:api|auth|access|private|secret)[_. -]?key)$",
    re.IGNORECASE,
)
_DEEPEST = 8


def mask(url: str) -> str:
    """Return the URL with every password and secret option replaced by ``***``."""
    return _SECRET_OPTION.sub(rf"\1{MASK}", _PASSWORD.sub(rf"\1:{MASK}@", url))


def mask_text(text: str) -> str:
    """Return the text with the URLs in it masked."""
    return _URL.sub(lambda match: mask(match.group()), text) if "://" in text else text


def masked(value: Any, name: object = "", *, _depth: int = 0) -> Any:
    """Return a plain value with the texts that go by the name of a secret replaced, in nested ones too.

    Args:
        value: the value; what is no dict, list or tuple is returned as it is.
        name: what the value is called.
    """
    if isinstance(value, str | bytes) and value and _SECRET_NAME.search(str(name)):
        return MASK
    if _depth >= _DEEPEST:
        return value
    if type(value) is dict:
        return {key: masked(item, key, _depth=_depth + 1) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(masked(item, name, _depth=_depth + 1) for item in value)
    return value
