"""Calls and answers as bytes: what goes in comes out, and what is none of ours is told."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omruntime.abc import Call, pack_answer, pack_call, unpack_answer, unpack_call
from omruntime.errors import OmegaRuntimeError, SignatureError, StoreUnavailable


def done(outcome: bytes = b"", error: BaseException | None = None) -> Future[bytes]:
    future: Future[bytes] = Future()
    if error is None:
        future.set_result(outcome)
    else:
        future.set_exception(error)
    return future


def arrived(packed: bytes) -> Future[bytes]:
    future: Future[bytes] = Future()
    unpack_answer(packed, future)
    return future


@given(st.text(), st.text(), st.text(), st.lists(st.binary(), max_size=4))
def test_a_call_comes_out_as_it_went_in(id: str, name: str, label: str, payload: list[bytes]) -> None:
    call = Call(id, name, label, tuple(payload))
    assert unpack_call(pack_call(call)) == call


def test_any_buffer_is_carried() -> None:
    call = Call("t", "script.run f", "default", (b"head", bytearray(b"one"), memoryview(b"two")))
    assert unpack_call(pack_call(call)).payload == (b"head", b"one", b"two")


@given(st.binary())
def test_what_is_no_call_is_refused(packed: bytes) -> None:
    with pytest.raises(SignatureError, match="no call"):
        unpack_call(packed)


@given(st.binary())
def test_an_outcome_comes_back(outcome: bytes) -> None:
    assert arrived(pack_answer(done(outcome))).result(0) == outcome


def test_a_refusal_comes_back_as_what_it_was() -> None:
    with pytest.raises(StoreUnavailable, match="another store"):
        arrived(pack_answer(done(error=StoreUnavailable("another store")))).result(0)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt("stop")])
def test_an_error_that_is_not_ours_comes_back_as_text(error: BaseException) -> None:
    with pytest.raises(OmegaRuntimeError, match=f"{type(error).__name__}: {error}"):
        arrived(pack_answer(done(error=error))).result(0)


def test_nobody_can_make_an_answer_say_how_a_task_ended() -> None:
    class TaskRevoked(Exception):
        pass

    answer = arrived(pack_answer(done(error=TaskRevoked("forged")))).exception(0)
    assert type(answer) is OmegaRuntimeError


@given(st.binary())
def test_an_answer_that_is_none_leaves_it_to_the_ledger(packed: bytes) -> None:
    assert arrived(packed).result(0) == b""


def test_an_answer_that_comes_too_late_changes_nothing() -> None:
    future = done(b"read off the ledger")
    unpack_answer(pack_answer(done(b"pushed")), future)
    assert future.result(0) == b"read off the ledger"
