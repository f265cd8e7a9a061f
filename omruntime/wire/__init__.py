"""What crosses the wire: signed envelopes, values and exceptions."""

from omruntime.wire.codec import decode_value, encode_value, type_name
from omruntime.wire.ends import end_of, end_with
from omruntime.wire.envelope import (
    PYTHON,
    WIRE,
    CallHeader,
    OutcomeHeader,
    Part,
    Source,
    Upstream,
    open_call,
    open_outcome,
    peek_call,
    peek_outcome,
    seal,
)
from omruntime.wire.exceptions import decode_exception, encode_exception
from omruntime.wire.outcomes import failure, outcome_size, read_outcome, success
from omruntime.wire.values import INLINE_LIMIT, pack_value, unpack_value

__all__ = [
    "INLINE_LIMIT",
    "PYTHON",
    "WIRE",
    "CallHeader",
    "OutcomeHeader",
    "Part",
    "Source",
    "Upstream",
    "decode_exception",
    "decode_value",
    "encode_exception",
    "encode_value",
    "end_of",
    "end_with",
    "failure",
    "open_call",
    "open_outcome",
    "outcome_size",
    "pack_value",
    "peek_call",
    "peek_outcome",
    "read_outcome",
    "seal",
    "success",
    "type_name",
    "unpack_value",
]
