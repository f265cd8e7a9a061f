"""Messages between host and runner arrive whole, whatever their size, or not at all."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omruntime.worker.channel import Channel

MEGABYTE = 1 << 20
CHUNK = 1 << 16


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    left, right = (Channel(each) for each in socket.socketpair())
    yield left, right
    left.close()
    right.close()


def exchanged(ends: tuple[Channel, Channel], messages: list[list[bytes]]) -> list[list[bytes]]:
    """Send messages in one thread and return what arrived in this one."""

    def send() -> None:
        for number, buffers in enumerate(messages):
            ends[0].send("task", {"number": number}, buffers)

    sender = threading.Thread(target=send)
    sender.start()
    arrived = []
    for number in range(len(messages)):
        received = ends[1].receive()
        assert received is not None
        assert (received[0].kind, received[0].data) == ("task", {"number": number})
        arrived.append([bytes(each) for each in received[1]])
    sender.join()
    return arrived


SIZES = st.integers(0, 300) | st.integers(CHUNK - 40, CHUNK + 40) | st.integers(0, 3 * MEGABYTE)


@given(messages=st.lists(st.lists(SIZES, max_size=4), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_messages_of_all_sizes_arrive_in_order(ends: tuple[Channel, Channel], messages: list[list[int]]) -> None:
    sent = [
        [(bytes([1 + number % 250]) * (size // 2)) + bytes(size - size // 2) for number, size in enumerate(sizes)]
        for sizes in messages
    ]
    assert exchanged(ends, sent) == sent


def test_more_buffers_than_fit_into_one_read_arrive(ends: tuple[Channel, Channel]) -> None:
    sent = [[b"%d" % number for number in range(20_000)]]
    assert exchanged(ends, sent) == sent


def test_many_small_messages_that_arrive_at_once_stay_apart(ends: tuple[Channel, Channel]) -> None:
    sent = [[b"%d" % number] for number in range(3_000)]
    assert exchanged(ends, sent) == sent


def test_what_has_arrived_can_be_written_to(ends: tuple[Channel, Channel]) -> None:
    ends[0].send("task", {}, [b"abc", bytes(CHUNK)])
    received = ends[1].receive()
    assert received is not None
    for buffer in received[1]:
        assert not buffer.readonly


def test_messages_of_many_threads_do_not_mix(ends: tuple[Channel, Channel]) -> None:
    def send(number: int) -> None:
        for _ in range(20):
            ends[0].send("task", {"number": number}, [bytes([number]) * (number * 9_000)])

    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(send, number) for number in range(8)]
        for _ in range(160):
            received = ends[1].receive()
            assert received is not None
            number = received[0].data["number"]
            assert bytes(received[1][0]) == bytes([number]) * (number * 9_000)
    assert [each.result() for each in done] == [None] * 8


HEAD = struct.pack("<I2Q", 2, 60, 100_000)


@pytest.mark.parametrize("sent", [b"", HEAD[:2], HEAD[:9], HEAD, HEAD + b"x" * 70, HEAD + b"x" * 100_059])
def test_the_end_of_the_stream_anywhere_is_the_end_and_no_message(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)

    def send() -> None:
        with theirs:
            theirs.sendall(sent)

    sender = threading.Thread(target=send)
    sender.start()
    assert channel.receive() is None
    assert channel.receive() is None
    sender.join()
    channel.close()


def test_a_message_that_may_be_dropped_never_waits(ends: tuple[Channel, Channel]) -> None:
    sent = 0
    while ends[0].try_send("told", {"number": sent}, [bytes(10_000)]):
        sent += 1
    assert sent > 3
    assert not ends[0].try_send("told", {}, [bytes(MEGABYTE)]), "what is large would have to be waited for"
    for number in range(sent):
        received = ends[1].receive()
        assert received is not None
        assert received[0].data == {"number": number}
        assert bytes(received[1][0]) == bytes(10_000)
    assert ends[0].try_send("told", {})
    ends[1].close()
    assert not ends[0].try_send("told", {})


def test_shutting_down_wakes_up_who_waits(ends: tuple[Channel, Channel]) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ends[0].receive)
        ends[0].shutdown()
        assert waiting.result() is None
    assert ends[1].receive() is None
    ends[0].shutdown()


def test_sending_to_one_who_is_gone_is_an_error(ends: tuple[Channel, Channel]) -> None:
    ends[1].close()
    with pytest.raises(OSError):  # noqa: PT011 - which one the kernel says depends on the moment
        ends[0].send("task", {}, [os.urandom(4 * MEGABYTE)])
