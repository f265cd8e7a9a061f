"""The bell that wakes Celery's event loop."""

from __future__ import annotations

import select
from typing import Any

from omruntime_celery.bell import Bell


def test_whoever_rings_while_it_is_being_heard_does_not_silence_it() -> None:
    bell = Bell()
    real: Any = bell._hears

    class Meanwhile:
        def recv(self, size: int) -> bytes:
            bell.ring()
            received: bytes = real.recv(size)
            return received

    bell.ring()
    bell._hears = Meanwhile()  # type: ignore[assignment]
    bell.hear()
    bell._hears = real
    bell.ring()
    assert select.select([bell], [], [], 0)[0]
    bell.close()


def test_a_bell_that_was_rung_often_is_quiet_when_it_was_heard() -> None:
    bell = Bell()
    for _ in range(3):
        bell.ring()
    bell.hear()
    assert not select.select([bell], [], [], 0)[0]
    bell.hear()
    bell.close()
    bell.ring()
