"""`python.data`: plain Python values, which come back exactly and run no code when they are loaded."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from omruntime.abc.kind import BlobReader, BlobWriter, Kind, Stored
from omruntime.kinds.base import no_options
from omruntime.kinds.parts import Part, merged

__all__ = ["PythonData", "is_plain"]

_SCALARS = frozenset({type(None), bool, float, str, bytes})
_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1


def is_plain(value: object) -> bool:
    """Tell whether a value is a tree of exactly None, bool, int of 64 bits, float, str, bytes, list and dict."""
    try:
        return _plain(value)
    except RecursionError:
        return False


def _plain(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return bool(value.isascii()) or _encodable(value)
    if kind in _SCALARS:
        return True
    if kind is int:
        return bool(_LOWEST <= value <= _HIGHEST)
    if kind is list:
        return all(map(_plain, value))
    if kind is dict:
        return all(type(key) not in (list, dict) and _plain(key) and _plain(item) for key, item in value.items())
    return False


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class PythonData(Kind):
    """Plain values as MessagePack; bytes and text alone as they are, so that large ones are streamed."""

    name: ClassVar[str] = "python.data"
    prefixes: ClassVar[tuple[str, ...]] = ("data/",)

    def supports(self, obj: object, prefix: str) -> bool:
        """Tell whether ``obj`` is plain."""
        return type(obj) is bytearray or is_plain(obj)

    def put(
        self, obj: Any, name: str, writer: BlobWriter, *, previous: Stored | None = None, **options: Any
    ) -> Stored:
        """Write a plain value; to a list that is stored, another one can be appended."""
        no_options(self.name, options)
        parts = [_write(obj, writer)]
        if previous is not None:
            if not isinstance(obj, list) or "rows" not in previous.detail:
                raise TypeError(f"only a list can be appended to a list, and {name!r} or what was given is none")
            parts = merged([*previous.detail["parts"], *parts], lambda tail: _write(_together(tail, writer), writer))
        rows = {"rows": sum(each["rows"] for each in parts)} if isinstance(obj, list) else {}
        return Stored({"parts": parts, **rows}, tuple(each["blob"] for each in parts))

    def load(self, stored: Stored, reader: BlobReader, *, rows: tuple[int, int] | None = None, **options: Any) -> Any:
        """Load the value, or some elements of a list."""
        no_options(self.name, options)
        value = _together(stored.detail["parts"], reader)
        return value if rows is None else value[slice(*rows)]


def _write(obj: Any, writer: BlobWriter) -> Part:
    codec = type(obj).__name__ if isinstance(obj, (bytes, bytearray, str)) else "msgpack"
    rows = len(obj) if isinstance(obj, list) else 0
    return {"blob": writer.write([_encoded(obj)]), "codec": codec, "rows": rows, "level": 0}


def _together(parts: list[Part], reader: BlobReader) -> Any:
    values = [_decoded(reader.read(part["blob"]), part["codec"]) for part in parts]
    return values[0] if len(values) == 1 else [each for part in values for each in part]


def _encoded(obj: Any) -> bytes | bytearray:
    if isinstance(obj, (bytes, bytearray)):
        return obj
    return obj.encode() if isinstance(obj, str) else msgspec.msgpack.encode(obj)


def _decoded(data: Any, codec: str) -> Any:
    if codec == "msgpack":
        return msgspec.msgpack.decode(data, strict=True)
    return bytearray(data) if codec == "bytearray" else bytes(data) if codec == "bytes" else str(data, "utf-8")
