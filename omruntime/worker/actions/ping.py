"""The action that only shows that a worker is there."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from typing import Any

from omruntime.worker.context import Action, TaskContext

__all__ = ["PING_ACTIONS"]


def ping(context: TaskContext, request: Any) -> dict[str, Any]:
    """Return omega|ml's answer to a ping."""
    return {
        "message": "ping return message",
        "time": datetime.now(UTC).isoformat(),
        "args": request["args"],
        "kwargs": request["kwargs"],
        "worker": f"{socket.gethostname()}-{os.getpid()}",
    }


PING_ACTIONS: dict[str, Action] = {"ping": ping}
