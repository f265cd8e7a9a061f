"""Exceptions: type, arguments, attributes, message, traceback and causes survive, or are told as text."""

from __future__ import annotations

import asyncio
import threading

import pytest

from omruntime.errors import JobError, RemoteTraceback, TaskError
from omruntime.wire import decode_exception, encode_exception


class BadInitError(Exception):
    """Cannot be made from its args."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class HoldsLockError(Exception):
    """Cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class MuteError(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def raised(exc: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        if cause is not None:
            raise exc from cause
        raise exc
    except BaseException as caught:  # noqa: BLE001
        return caught


def travelled(exc: BaseException) -> Exception:
    return decode_exception(encode_exception(exc, "t1"), "t1")


@pytest.mark.parametrize(
    "exc",
    [ValueError("a", 1), KeyError("k"), FileNotFoundError(2, "gone", "name"), ZeroDivisionError(), StopIteration(3)],
)
def test_type_arguments_and_message_survive(exc: Exception) -> None:
    copy = travelled(raised(exc))
    assert (type(copy), copy.args, str(copy)) == (type(exc), exc.args, str(exc))


def test_each_copy_is_fresh() -> None:
    data = encode_exception(raised(ValueError("x")))
    assert decode_exception(data) is not decode_exception(data)


def test_an_exception_that_its_args_cannot_make_keeps_its_attributes() -> None:
    copy = travelled(raised(BadInitError(7, "boom")))
    assert isinstance(copy, BadInitError)
    assert (copy.code, str(copy)) == (7, "7: boom")


def test_the_chain_is_exception_then_traceback_then_cause() -> None:
    copy = travelled(raised(ValueError("outer"), raised(KeyError("inner"))))
    assert isinstance(copy.__cause__, RemoteTraceback)
    assert "test_exceptions.py" in copy.__cause__.text
    assert "ValueError: outer" in copy.__cause__.text
    assert isinstance(copy.__cause__.__cause__, KeyError)


def test_context_is_kept_unless_suppressed() -> None:
    def handling(suppress: bool) -> Exception:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                if suppress:
                    raise ValueError("second") from None
                raise ValueError("second")  # noqa: B904
        except ValueError as exc:
            return travelled(exc)

    kept, suppressed = handling(False).__cause__, handling(True).__cause__
    assert kept is not None
    assert suppressed is not None
    assert isinstance(kept.__cause__, KeyError)
    assert suppressed.__cause__ is None


def test_a_cycle_of_causes_ends() -> None:
    one, two = raised(ValueError("one")), raised(ValueError("two"))
    one.__cause__, two.__cause__ = two, one
    assert str(travelled(one)) == "one"


@pytest.mark.parametrize("exc", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()])
def test_what_would_end_the_client_comes_as_task_error(exc: BaseException) -> None:
    copy = travelled(raised(exc))
    assert type(copy) is TaskError
    assert type(exc).__name__ in str(copy)


def test_what_cannot_be_rebuilt_is_told_as_text() -> None:
    copy = travelled(raised(HoldsLockError("boom")))
    assert type(copy) is TaskError
    assert copy.type_name.endswith("HoldsLockError")
    assert "boom" in str(copy)
    assert "HoldsLockError: boom" in copy.remote_traceback


def test_an_exception_without_words_is_told_too() -> None:
    assert isinstance(travelled(raised(MuteError())), MuteError)


def test_notes_survive() -> None:
    exc = ValueError("x")
    exc.add_note("look here")
    assert travelled(raised(exc)).__notes__ == ["look here"]


def test_our_own_errors_learn_their_task() -> None:
    copy = travelled(raised(JobError("cell 3", cell=3, results="results/x")))
    assert isinstance(copy, JobError)
    assert (copy.task, copy.cell, copy.results) == ("t1", 3, "results/x")
