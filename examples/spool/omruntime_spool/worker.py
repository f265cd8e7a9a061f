"""What a worker process does: take calls from the directory as it has room for them."""

from __future__ import annotations

import heapq
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from omruntime.abc import WorkerHost

__all__ = ["TICK", "work"]

TICK = 0.005
"""Seconds between looks into a directory."""

Answer = Callable[[str, bytes], None]


def work(queue: Path, mine: Path, host: WorkerHost, stop: threading.Event, answer: Answer) -> None:
    """Hand calls to the host until ``stop`` is set; the host of a private engine gets all that there are."""
    while not stop.is_set():
        host.freed.wait(TICK)
        host.freed.clear()
        _take(queue, mine, host, answer)
    if host.tied:
        _take(queue, mine, host, answer)


def _take(queue: Path, mine: Path, host: WorkerHost, answer: Answer) -> None:
    for waiting in queue.glob("=*"):
        room = host.room(unquote(waiting.name[1:]))
        for name in heapq.nsmallest(room, os.listdir(waiting)) if room else ():
            # Of many workers that rename one file one succeeds.
            with suppress(FileNotFoundError):
                call = (waiting / name).rename(mine / name)
                packed = call.read_bytes()
                call.unlink()
                host.deliver(packed, partial(answer, name))
