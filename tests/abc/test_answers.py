"""Answers by name: pushed or looked for, each future resolved once, none left open by a close."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from omruntime.abc import Answers, pack_answer


def packed(outcome: bytes) -> bytes:
    future: Future[bytes] = Future()
    future.set_result(outcome)
    return pack_answer(future)


@pytest.fixture
def arrived() -> dict[str, bytes]:
    return {}


@pytest.fixture
def answers(arrived: dict[str, bytes]) -> Iterator[Answers]:
    def look() -> Iterator[tuple[str, bytes]]:
        for name in list(arrived):
            yield name, arrived.pop(name)

    made = Answers(look, 0.001)
    yield made
    made.close()


def test_what_has_arrived_is_found(answers: Answers, arrived: dict[str, bytes]) -> None:
    first, second = answers.expect("first"), answers.expect("second")
    arrived["second"] = packed(b"2")
    assert second.result(30) == b"2"
    arrived.update(nobody=packed(b"?"), first=packed(b"1"))
    assert first.result(30) == b"1"


def test_it_looks_once_somebody_waits() -> None:
    looked = threading.Event()

    def look() -> list[tuple[str, bytes]]:
        looked.set()
        return []

    answers = Answers(look, 0.001)
    given = answers.expect("given")
    assert looked.wait(30)
    answers.give("given", packed(b"1"))
    assert given.result(0) == b"1"
    answers.close()


def test_calls_of_one_name_have_one_future() -> None:
    answers = Answers()
    first = answers.expect("t")
    assert answers.expect("t") is first
    answers.give("t", packed(b"1"))
    assert first.result(0) == b"1"
    assert answers.expect("t") is not first
    answers.close()


def test_a_close_takes_what_is_there_and_refers_the_others_to_the_ledger(
    answers: Answers, arrived: dict[str, bytes]
) -> None:
    arrived["there"] = packed(b"1")
    there, open_still = answers.expect("there"), answers.expect("open")
    answers.close()
    answers.close()
    assert (there.result(0), open_still.result(0)) == (b"1", b"")


def test_one_that_is_known_already_is_not_waited_for() -> None:
    answers = Answers()
    answers.expect("t").set_result(b"by the ledger")
    answers.give("t", packed(b"late"))
    answers.close()
