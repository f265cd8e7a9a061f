"""The tie between a process and the one that started it: when that is gone, so are the process and its children."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import threading

__all__ = ["Lifeline", "tie_life_to"]

_ends: set[int] = set()


def _let_go() -> None:
    """Close a forked child's copies: what was started must not live on because its parent once forked."""
    for end in _ends:
        os.close(end)
    _ends.clear()


os.register_at_fork(after_in_child=_let_go)


class Lifeline:
    """A pipe whose write end only this process has, and never writes to: its end is the end of this process.

    Attributes:
        theirs: the read end, for the process that is tied to this one.
    """

    def __init__(self) -> None:
        self.theirs, self._ours = os.pipe()
        _ends.add(self._ours)

    def handed_over(self) -> None:
        """Close the read end here: the process that it is for has it."""
        os.close(self.theirs)

    def close(self) -> None:
        """Close the write end."""
        _ends.discard(self._ours)
        os.close(self._ours)


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
