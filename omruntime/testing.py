"""Help for tests of programs and engines: see the calls on their way to the engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from omruntime.abc import Call
from omruntime.client.runtime import OmegaRuntime

__all__ = ["capture_calls"]


@contextmanager
def capture_calls(runtime: OmegaRuntime, *, deliver: bool = True) -> Iterator[list[Call]]:
    """Record every call that goes to the runtime's engine inside the block, from any thread.

    Of a canvas these are the steps that begin it: those after them are sent by whoever ends the ones before.

    Args:
        runtime: the runtime, or any view of it.
        deliver: send the calls on; otherwise they stay recorded in the ledger, and nobody runs them.
    """
    backend = runtime.backend
    original = backend.submit
    calls: list[Call] = []
    lock = threading.Lock()

    def submit(call: Call) -> Future[bytes]:
        with lock:
            calls.append(call)
        return original(call) if deliver else Future()

    def submit_canvas(id: str, calls: Sequence[Call]) -> None:
        for call in calls:
            submit(call)

    # Where client and host are one process calls take a shorter way; inside the block they take that of all engines.
    backend.submit, backend.submit_own, backend.submit_canvas = submit, None, submit_canvas
    try:
        yield calls
    finally:
        del backend.submit, backend.submit_own, backend.submit_canvas
