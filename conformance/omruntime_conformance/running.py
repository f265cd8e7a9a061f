"""Which task the code that calls runs in; the only thing that the suite asks the core about a task."""

from __future__ import annotations

import sys
import uuid
from typing import Any

__all__ = ["running_task"]

_EXECUTIONS: dict[int, str] = {}


def running_task() -> dict[str, Any]:
    """Return what the log says of the running task: ``task``, ``execution`` and ``retries``; nothing outside of one.

    The execution is a name that the suite itself gives to one run of the task's code, so that two of them can be told
    apart whatever the engine calls them.
    """
    # Whoever runs a task has imported this; the others are spared it.
    module: Any = sys.modules.get("omruntime.worker.context")
    context = module.CURRENT.get() if module is not None else None
    if context is None:
        return {}
    mark = id(context)
    if mark not in _EXECUTIONS:
        _EXECUTIONS[mark] = uuid.uuid4().hex[:12]
        context.cleanup.callback(_EXECUTIONS.pop, mark, None)
    return {"task": context.header.id, "execution": _EXECUTIONS[mark], "retries": context.header.retries}
