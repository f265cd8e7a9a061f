"""Calls and their answers as single byte strings, for engines that carry those."""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError

import msgspec

from omruntime import errors
from omruntime.abc.backend import Call
from omruntime.errors import OmegaRuntimeError, SignatureError, TaskError

__all__ = ["answer_of", "pack_answer", "pack_call", "refusal", "unpack_answer", "unpack_call"]

_encoder = msgspec.msgpack.Encoder()
_calls = msgspec.msgpack.Decoder(tuple[str, str, str, tuple[bytes, ...]])
_answers = msgspec.msgpack.Decoder(tuple[bytes, str, str])


def pack_call(call: Call) -> bytes:
    """Return a call as bytes."""
    return _encoder.encode((call.id, call.name, call.label, call.payload))


def unpack_call(packed: bytes) -> Call:
    """Return the call that `pack_call` made these bytes of; its signature has still to be checked.

    Raises:
        SignatureError: they are no call.
    """
    try:
        return Call(*_calls.decode(packed))
    except msgspec.MsgspecError:
        raise SignatureError("this is no call of omruntime; nothing of it was decoded") from None


def pack_answer(done: Future[bytes]) -> bytes:
    """Return as bytes what has become of a call: its packed outcome, or why it was refused."""
    refused = done.exception()
    return answer_of(done.result() if refused is None else refused)


def answer_of(said: bytes | BaseException) -> bytes:
    """Return as `pack_answer` does a packed outcome, empty where only the ledger can tell; or why it was refused."""
    if isinstance(said, BaseException):
        return _encoder.encode((b"", type(said).__name__, str(said)))
    return _encoder.encode((said, "", ""))


def unpack_answer(packed: bytes, future: Future[bytes]) -> None:
    """Resolve a future with what `pack_answer` made these bytes of; one that is resolved already stays as it is.

    Whoever can write to the engine can write an answer: an outcome is signed, and a refusal is only told to the one
    who submitted the call.
    """
    try:
        outcome, kind, message = _answers.decode(packed)
    except msgspec.MsgspecError:
        # Somebody else has written it: what the ledger has counts.
        outcome, kind, message = b"", "", ""
    try:
        if kind:
            future.set_exception(refusal(kind, message))
        else:
            future.set_result(outcome)
    except InvalidStateError:
        # Whoever waits has read it off the ledger.
        return


def refusal(kind: str, message: str) -> OmegaRuntimeError:
    """Return the error of ours that has this name; another one for what may not be told in this way."""
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, OmegaRuntimeError) and not issubclass(found, TaskError):
        return found(message)
    return OmegaRuntimeError(f"{kind}: {message}")
