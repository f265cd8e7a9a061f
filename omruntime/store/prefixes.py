"""Where the keys end that begin with a prefix, in the order of code points."""

from __future__ import annotations

__all__ = ["end_of"]


def end_of(prefix: str) -> str:
    """Return the lowest key above all that begin with ``prefix``; empty where there is none."""
    trimmed = prefix.rstrip("\U0010ffff")
    if not trimmed:
        return ""
    last = ord(trimmed[-1]) + 1
    # No text holds a surrogate, so the next one after U+D7FF is U+E000.
    return trimmed[:-1] + chr(0xE000 if last == 0xD800 else last)
