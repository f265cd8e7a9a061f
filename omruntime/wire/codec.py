"""How values become buffers and come back as they were.

The first buffer of an encoded value begins with a tag: ``m`` for plain values as MessagePack, ``p`` for everything
else as pickle protocol 5, whose large contiguous buffers (arrays, frames) follow out of band (PEP 574), so that they
are neither copied here nor scanned there. Functions and classes of the client's ``__main__`` travel by value
(cloudpickle).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any

import cloudpickle
import msgspec

from omruntime.abc import Buffer
from omruntime.errors import SerializationError

__all__ = ["decode_value", "encode_value", "type_name"]

_PLAIN = b"m"
_PICKLED = b"p"
_OUT_OF_BAND = 4096
_PLAIN_NODES = 200
_INT_LIMIT = 1 << 63
_packer = msgspec.msgpack.Encoder()
_unpacker = msgspec.msgpack.Decoder()


def type_name(value: object) -> str:
    """Return the qualified name of a value's type."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def encode_value(value: object, what: str = "the value") -> list[Buffer]:
    """Return a value as buffers, the encoded value first, out-of-band buffers behind it.

    Args:
        value: any value that can be pickled.
        what: how an error message names it.

    Raises:
        SerializationError: it cannot be pickled; names the type.
    """
    if _count_plain(value, _PLAIN_NODES) > 0:
        try:
            return [_PLAIN + _packer.encode(value)]
        except UnicodeEncodeError:
            # Lone surrogates are text for Python, and for nobody else.
            pass
    buffers: list[Buffer] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        with memoryview(buffer) as view:
            if view.nbytes < _OUT_OF_BAND or not view.contiguous:
                return True
        buffers.append(buffer.raw())
        return False

    stream = io.BytesIO()
    stream.write(_PICKLED)
    try:
        cloudpickle.Pickler(stream, protocol=5, buffer_callback=keep).dump(value)
    except Exception as exc:
        # Any __reduce__ of the user's may raise anything.
        raise SerializationError(
            f"{what} cannot be serialised: {_culprit(value)}: {type(exc).__name__}: {exc}", type_name=_culprit(value)
        ) from exc
    return [stream.getbuffer(), *buffers]


def decode_value(buffers: Sequence[Buffer]) -> Any:
    """Return the value that `encode_value` was given; the buffers have been checked against their signature."""
    first = memoryview(buffers[0])
    if first[:1] == _PLAIN:
        return _unpacker.decode(first[1:])
    return pickle.loads(first[1:], buffers=buffers[1:])


def _count_plain(value: Any, budget: int) -> int:
    """Return what is left of the budget of nodes, not above 0 when a value would not come back the same."""
    kind = type(value)
    if kind is str or kind is bool or value is None or kind is float or kind is bytes:
        return budget - 1
    if kind is int:
        return budget - 1 if -_INT_LIMIT <= value < _INT_LIMIT else 0
    if kind is list:
        return _count_all(value, budget - 1)
    if kind is dict:
        for key in value:
            if type(key) is not str:
                return 0
        return _count_all(value.values(), budget - 1)
    return 0


def _count_all(values: Any, budget: int) -> int:
    for value in values:
        if budget <= 0:
            return 0
        budget = _count_plain(value, budget)
    return budget


def _culprit(value: object, depth: int = 3) -> str:
    """Return the type of the innermost part that cannot be pickled, as far as containers can be looked into."""
    parts: list[object] = []
    if depth and isinstance(value, dict):
        parts = list(value.values())
    elif depth and isinstance(value, list | tuple | set | frozenset):
        parts = list(value)
    elif depth and hasattr(value, "__dict__") and not isinstance(value, type):
        parts = list(vars(value).values())
    for part in parts:
        try:
            cloudpickle.dumps(part)
        except Exception:  # noqa: BLE001
            # It is the culprit, or holds it.
            return _culprit(part, depth - 1)
    return type_name(value)
