"""What a kernel runs before the first cell and after the one tagged ``parameters``.

The kernel executes this file as source text, in names of its own and without a trace in the notebook. It may be of
another environment than the worker, so nothing but the standard library is taken for granted.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import pickle
import sys
import types
from typing import Any

__all__ = ["ARGUMENTS", "ERROR", "begin", "tells_something"]

ARGUMENTS = "arguments"
"""File with the arguments of the run."""
ERROR = "error"
"""File that an exception of a cell is written to, where it can be."""


def begin(place: str, keys: int) -> None:
    """Bind ``job`` and make ready what else a notebook finds.

    Args:
        place: directory with the arguments of the run, as a pickle.
        keys: read end of the pipe that tells user, keys and the login of the store, in one line.
    """
    from IPython import get_ipython

    with os.fdopen(keys, "rb") as pipe:
        # Not to its end, which does not come as long as a process that the runner has forked holds the other one.
        told = json.loads(pipe.readline())
    try:
        from omruntime.auth import inherit
        from omruntime.logins import take
    except ImportError:
        # The kernel's environment has no omruntime, and nobody in it will ask for the keys.
        pass
    else:
        inherit(told["user"], told["key"])
        take(told["logins"])
    with open(os.path.join(place, ARGUMENTS), "rb") as stream:
        given = pickle.load(stream)
    os.environ.update(given["environment"])
    shell: Any = get_ipython()
    shell.user_ns["job"] = given["job"]
    ours: Any = types.ModuleType("_omruntime_job")
    ours.bind = lambda: shell.user_ns.update(given["parameters"])
    sys.modules["_omruntime_job"] = ours
    shell.events.register("post_run_cell", lambda result: note_error(result, os.path.join(place, ERROR)))
    logging.getLogger("tornado.general").addFilter(tells_something)


def tells_something(record: logging.LogRecord) -> bool:
    """Tell whether a line of the kernel's own log belongs to the output of the notebook.

    A kernel that ends now and then still reads from a socket that it has closed, and logs that.
    """
    exc = record.exc_info[1] if record.exc_info else None
    return getattr(exc, "errno", None) != errno.ENOTSOCK


def note_error(result: Any, path: str) -> None:
    """Write what a cell has raised to a file, with traceback and causes."""
    exc = result.error_before_exec or result.error_in_exec
    if exc is None:
        return
    frames = exc.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith(("IPython.", "ipykernel.")):
        frames = frames.tb_next
    try:
        from omruntime.wire.exceptions import encode_exception

        data = encode_exception(exc.with_traceback(frames) if frames is not None else exc)
        with open(path, "wb") as stream:
            stream.write(data)
    except Exception:  # noqa: BLE001
        # The text that the kernel sends must do.
        return
