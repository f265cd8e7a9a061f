"""The socket between a process and an actor on its machine: what comes by it, and what happens without it."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest
from omruntime_ray.carried import Carried, Sent, unpacked_calls
from omruntime_ray.direct import DirectLine, connected
from omruntime_ray.door import Door, Visitor
from omruntime_ray.line import Line
from omruntime_ray.mailbox import Mailbox
from tests.ray_world import eventually

from omruntime import Omega
from omruntime.errors import BackendUnavailable
from omruntime.worker.channel import Channel, Message

Answer = tuple[str, bytes]


def _call(id: str) -> Sent:
    return (id, "script.run echo", Carried(id, "default", id.encode()))


def _answers_all(visitor: Visitor, message: Message, buffers: list[memoryview]) -> None:
    """Answer calls at once, and orders with what they were given."""
    if message.kind == "calls":
        for call in unpacked_calls(buffers[0]):
            visitor.give(call.id, call.packed * 2)
    else:
        visitor.say(message.data["number"], ("", message.data["order"]))


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door(_answers_all)
    yield made
    made.close()


@contextmanager
def _line(door: Door, got: SimpleQueue[Answer], lost: SimpleQueue[list[str]]) -> Iterator[DirectLine]:
    sock = connected(door.path)
    assert sock is not None
    with closing(
        DirectLine(sock, Mailbox("me", lambda id, answer: got.put((id, answer)), lambda ids, error: lost.put(ids)))
    ) as line:
        yield line


def test_calls_and_orders_are_answered(door: Door) -> None:
    got: SimpleQueue[Answer] = SimpleQueue()
    lost: SimpleQueue[list[str]] = SimpleQueue()
    with _line(door, got, lost) as line:
        assert line.send([_call("1"), _call("2")])
        assert line.send([_call("3")])
        assert sorted(got.get(timeout=30) for _ in range(3)) == [("1", b"11"), ("2", b"22"), ("3", b"33")]
        assert line.ask("order", {"order": {"cancel": "x"}}) == ("", {"cancel": "x"})
        line.close_when_idle()
        assert line.is_over
        assert not line.send([_call("4")])
    assert lost.empty()


def test_this_user_alone_may_come_in(door: Door) -> None:
    assert stat.S_IMODE(os.stat(door.path).st_mode) == 0o600


@pytest.mark.parametrize("left", ["nothing", "a file"])
def test_a_door_that_is_not_there_is_none(door: Door, left: str) -> None:
    path = Path(door.path)
    door.close()
    assert not path.exists()
    if left == "a file":
        # What a killed actor leaves.
        with closing(socket.socket(socket.AF_UNIX)) as dead:
            dead.bind(str(path))
    assert connected(str(path)) is None
    path.unlink(missing_ok=True)


def test_who_does_not_read_holds_nobody_up(door: Door) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.connect(door.path)
        channel = Channel(sock)
        channel.send("hello", {"mailbox": "slow"})
        eventually(lambda: door.visitor("slow"), "the visitor")
        visitor = door.visitor("slow")
        assert visitor is not None
        for number in range(100):
            visitor.give(str(number), bytes(100_000))
        ids: list[str] = []
        while len(ids) < 100:
            received = channel.receive()
            assert received is not None
            assert {len(buffer) for buffer in received[1]} == {100_000}
            ids += received[0].data["ids"]
    assert ids == [str(number) for number in range(100)]


def test_where_the_host_is_gone_the_ledger_is_asked() -> None:
    there = threading.Event()

    def leave(visitor: Visitor, message: Message, buffers: list[memoryview]) -> None:
        there.wait(30)
        visitor.channel.shutdown()

    got: SimpleQueue[Answer] = SimpleQueue()
    lost: SimpleQueue[list[str]] = SimpleQueue()
    with closing(Door(leave)) as door, _line(door, got, lost) as line:
        line.send([_call("1")])
        there.set()
        assert lost.get(timeout=30) == ["1"]
        assert not line.send([_call("2")])
        with pytest.raises(BackendUnavailable, match=r"worker-\*\.err"):
            line.ask("order", {"order": {}})


def test_an_actor_on_this_machine_is_spoken_to_without_ray(om: Omega) -> None:
    om.runtime.scale({"default": 1})
    assert om.runtime.script("echo").run(5).get(timeout=60)["result"] == 5
    assert [type(line) for line in om.runtime.backend._pool._lines.values()] == [DirectLine]


def test_an_actor_whose_door_is_out_of_reach_is_spoken_to_by_ray(om: Omega) -> None:
    om.runtime.scale({"default": 1})
    pool = om.runtime.backend._pool
    (entry,) = pool.stations().values()
    os.unlink(entry["door"])
    assert om.runtime.script("echo").run(5).get(timeout=60)["result"] == 5
    assert [type(line) for line in pool._lines.values()] == [Line]
