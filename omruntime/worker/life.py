"""The tie between a runner and its host: when the host is gone, so are the runner and its children."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading

__all__ = ["tie_life_to"]


def tie_life_to(pipe: int) -> None:
    """Have the whole process group killed when the last writer of a pipe is gone.

    The kernel does it itself where it can (fcntl(2): ``F_SETSIG`` on Linux), so that code which holds the GIL, or has
    blocked every signal, goes too; elsewhere a thread waits for the end of the pipe.
    """
    os.set_inheritable(pipe, False)
    if not hasattr(fcntl, "F_SETSIG"):
        threading.Thread(target=_watch, args=(pipe,), name="omruntime-life", daemon=True).start()
        return
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    # A host that went before this was armed sends no signal any more.
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if poll.poll(0):
        os.killpg(0, signal.SIGKILL)


def _watch(pipe: int) -> None:
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)
