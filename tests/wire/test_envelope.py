"""Envelopes: nothing that is not signed by a key of ours, as it is, is ever opened."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omruntime.auth import Auth
from omruntime.errors import SignatureError, VersionMismatch
from omruntime.wire import PYTHON, WIRE, CallHeader, OutcomeHeader, Part, open_call, open_outcome, seal
from omruntime.wire.envelope import pack_envelope, unpack_envelope
from tests.wire.samples import AUTH, call_envelope, call_header


def test_an_envelope_opens_to_its_header() -> None:
    header = open_call(call_envelope([b"value", b"array" * 100]), AUTH)
    assert (header.id, header.name, [part.size for part in header.parts]) == ("t1", "clf", [5, 500])


def test_every_single_byte_change_is_refused() -> None:
    envelope = call_envelope([b"the value", b"a buffer"])
    changed = 0
    for number, buffer in enumerate(envelope):
        for position in range(len(buffer)):
            for flip in (0x01, 0x80, 0xFF):
                altered = bytearray(buffer)
                altered[position] ^= flip
                with pytest.raises(SignatureError):
                    open_call([*envelope[:number], bytes(altered), *envelope[number + 1 :]], AUTH)
                changed += 1
    assert changed == 3 * sum(len(buffer) for buffer in envelope)


@given(cut=st.integers(0, 400), extra=st.binary(max_size=20))
@settings(max_examples=200)
def test_cut_and_lengthened_envelopes_are_refused(cut: int, extra: bytes) -> None:
    envelope = call_envelope([b"the value"])
    head = envelope[0][:cut] + extra
    if head != envelope[0]:
        with pytest.raises(SignatureError):
            open_call([head, *envelope[1:]], AUTH)


@pytest.mark.parametrize("envelope", [[], [b""], [b"OMR1"], [b"\x80\x04."], [b"x" * 500]])
def test_what_is_no_envelope_is_refused(envelope: list[bytes]) -> None:
    with pytest.raises(SignatureError):
        open_call(envelope, AUTH)


def test_buffers_cannot_be_left_out_or_added() -> None:
    envelope = call_envelope([b"one", b"two"])
    for wrong in (envelope[:2], [*envelope, b"three"], [envelope[0], envelope[2], envelope[1]]):
        with pytest.raises(SignatureError):
            open_call(wrong, AUTH)


def test_a_call_is_no_outcome() -> None:
    with pytest.raises(SignatureError):
        open_outcome(call_envelope([b"value"]), AUTH)


def test_another_key_is_refused_by_its_name_and_without_the_secret() -> None:
    with pytest.raises(SignatureError, match="omruntime key") as caught:
        open_call(call_envelope([b"value"]), Auth("eve", "another-secret"))
    assert "another-secret" not in str(caught.value)
    assert AUTH.secret() not in str(caught.value)


def test_an_older_key_is_accepted_and_does_not_sign() -> None:
    rotated = Auth("ann", f"new-secret,{AUTH.secret()}")
    assert open_call(call_envelope([b"value"]), rotated).id == "t1"
    with pytest.raises(SignatureError):
        open_call([seal(call_header([]), rotated)], AUTH)


@pytest.mark.parametrize(("wire", "python"), [(WIRE + 1, PYTHON), (WIRE, "2.7")])
def test_another_version_is_named(wire: int, python: str) -> None:
    header = call_header([], wire=wire, python=python)
    with pytest.raises(VersionMismatch, match=f"wire version {wire} and Python {python}"):
        open_call([seal(header, AUTH)], AUTH)


def test_packed_envelopes_come_back() -> None:
    header = OutcomeHeader(WIRE, PYTHON, "t1", 1, "SUCCESS", [Part(b"", 0, "t-t1-r1-0")])
    envelope = [seal(header, AUTH)]
    assert unpack_envelope(pack_envelope(envelope)) == envelope
    with pytest.raises(SignatureError):
        unpack_envelope(b"\xc1")


def test_headers_have_a_readable_title() -> None:
    header: CallHeader = call_header([])
    assert header.title == "model.fit clf"
