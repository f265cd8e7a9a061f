"""What Dask is given to carry: the one task, named so that a scheduler passes it on without having our modules.

A scheduler unpickles the graphs that it is sent, and what it cannot import is an error there. So a graph has
functions of Python's own library only, which find ours in the worker.
"""

from __future__ import annotations

import asyncio
import operator
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

from dask.task_spec import Task

__all__ = ["bringing"]

_TAKE = "omruntime_dask.worker:take"


def bringing(packed: Sequence[bytes], keys: Sequence[str]) -> tuple[Callable[..., Any], list[Task], list[None]]:
    """Return function and lists of arguments of Dask tasks that hand packed calls to the workers they come to."""
    # A function that is awaited is run in the worker's event loop; this one has no limit of time.
    return asyncio.wait_for, [_taken(*each) for each in zip(packed, keys, strict=True)], [None] * len(keys)


def _taken(packed: bytes, key: str) -> Task:
    return Task(None, operator.call, Task(None, pkgutil.resolve_name, _TAKE), packed, key)
