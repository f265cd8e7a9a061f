"""Output is bounded, cut by task, and never holds anybody up."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omruntime.worker.output import HEAD_LIMIT, TAIL_LIMIT, OutputPipe, OutputPump


@pytest.fixture
def pipe() -> Iterator[OutputPipe]:
    made = OutputPipe()
    yield made
    made.close()


@pytest.fixture
def pump() -> Iterator[OutputPump]:
    made = OutputPump("test")
    yield made
    made.close()


def printed(pipe: OutputPipe, data: bytes) -> None:
    """Print into a pipe that this thread empties itself whenever it is full."""
    os.set_blocking(pipe.write_end, False)
    while data:
        try:
            data = data[os.write(pipe.write_end, data) :]
        except BlockingIOError:
            pipe.drain()


def test_what_was_printed_is_taken_once_and_cut_between_tasks(pipe: OutputPipe) -> None:
    printed(pipe, b"first task\n")
    assert pipe.take() == "first task\n"
    printed(pipe, b"second task\n")
    assert pipe.take() == "second task\n"
    assert pipe.take() == ""
    os.close(pipe.write_end)


@pytest.mark.parametrize("size", [0, 1, HEAD_LIMIT - 1, HEAD_LIMIT, HEAD_LIMIT + 1, HEAD_LIMIT + TAIL_LIMIT])
def test_up_to_the_limit_nothing_is_left_out(pipe: OutputPipe, size: int) -> None:
    text = "".join(f"{number} " for number in range(size))[:size]
    printed(pipe, text.encode())
    assert pipe.take() == text
    os.close(pipe.write_end)


@given(lengths=st.lists(st.integers(1, 60_000), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_very_long_output_the_middle_is_left_out_and_counted(lengths: list[int]) -> None:
    pipe = OutputPipe()
    whole = "".join(f"line {number}\n" * length for number, length in enumerate(lengths))
    printed(pipe, whole.encode())
    taken = pipe.take()
    if len(whole) <= HEAD_LIMIT + TAIL_LIMIT:
        assert taken == whole
    else:
        dropped = len(whole) - HEAD_LIMIT - TAIL_LIMIT
        gap = f"\n[... {dropped} bytes left out ...]\n"
        assert taken == whole[:HEAD_LIMIT] + gap + whole[-TAIL_LIMIT:]
    os.close(pipe.write_end)
    pipe.close()


def test_what_is_no_utf_8_is_text_all_the_same(pipe: OutputPipe) -> None:
    printed(pipe, b"\xff\xfe ok \xe2\x82")
    taken = pipe.take()
    assert " ok " in taken
    assert "\ufffd" in taken
    os.close(pipe.write_end)


def test_a_letter_that_is_cut_by_the_limit_breaks_nothing(pipe: OutputPipe) -> None:
    printed(pipe, b"x" + "€".encode() * 40_000)
    assert "bytes left out" in pipe.take()
    os.close(pipe.write_end)


def test_the_end_of_all_printers_is_told(pipe: OutputPipe) -> None:
    printed(pipe, b"last words")
    assert pipe.drain() is True
    os.close(pipe.write_end)
    assert pipe.drain() is False
    assert pipe.take() == "last words"
    pipe.close()
    assert pipe.drain() is False
    pipe.close()


def test_one_who_prints_faster_than_it_can_be_read_holds_nobody_up(
    pipe: OutputPipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0

    def endless(descriptor: int, size: int) -> bytes:
        nonlocal reads
        reads += 1
        assert reads < 10_000, "it reads for ever"
        return b"x" * size

    monkeypatch.setattr(os, "read", endless)
    assert "bytes left out" in pipe.take()
    monkeypatch.undo()
    os.close(pipe.write_end)


def test_the_pump_keeps_every_printer_going(pump: OutputPump) -> None:
    pipes = [OutputPipe() for _ in range(3)]
    for pipe in pipes:
        pump.add(pipe)

    def print_much(number: int) -> None:
        with os.fdopen(pipes[number].write_end, "wb") as stream:
            stream.write(b"%d" % number * 2_000_000)

    # Each of these would stand still for ever at the 64 kB that a pipe holds.
    threads = [threading.Thread(target=print_much, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, pipe in enumerate(pipes):
        taken = pipe.take()
        assert set(taken.replace("\n[... 1934464 bytes left out ...]\n", "")) == {str(number)}
        pump.remove(pipe)
        pump.remove(pipe)
        pipe.close()
