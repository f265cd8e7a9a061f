"""The thread of a host that does what is due."""

from __future__ import annotations

import threading

import pytest

from omruntime.worker.keeper import Keeper


def test_a_mistake_in_one_round_does_not_end_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    rounds, third = [0], threading.Event()

    def tick(_: float) -> None:
        rounds[0] += 1
        if rounds[0] == 3:
            third.set()
        raise KeyError("a mistake")

    keeper = Keeper("keeper", 0.001, tick)
    keeper.start()
    try:
        assert third.wait(30)
    finally:
        keeper.stop()
    assert told[:2] == [KeyError, KeyError]
