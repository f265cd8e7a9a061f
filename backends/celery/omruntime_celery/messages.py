"""Messages of ours, as Celery's worker meets them: what is none, and what Celery's own tools show of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Task
from celery.worker.request import Request

from omruntime_celery.broker import CONTENT, TASK

if TYPE_CHECKING:
    from omruntime_celery.station import Station

__all__ = ["OurRequest", "OurTask", "request_of", "what_is_foreign"]

_NOTHING: Any = ((), {}, {})
"""What Celery's own tools see of a call's arguments."""
_TEXTS = ("id", "label", "shadow")
"""Headers of ours that are looked at; what else a message may have, nobody knows."""
_LONGEST_TEXT = 255
_SHOWN = {"lang": "py", "task": TASK, "argsrepr": "()", "kwargsrepr": "{}", "ignore_result": True}


def what_is_foreign(message: Any) -> str:
    """Say why a message is none of ours; empty where it may be one."""
    headers = message.headers
    if message.content_type != CONTENT or not isinstance(message.body, bytes):
        return f"its content type is {message.content_type!r:.80}"
    if not isinstance(headers, dict) or headers.get("task") != TASK:
        return "it is no call of omruntime"
    if not all(isinstance(headers.get(name, ""), str) for name in _TEXTS):
        return "its headers are not those of a call"
    return ""


class OurRequest(Request):  # type: ignore[misc]
    """What Celery's own tools know of a call."""

    station: Station

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """End the task as revoked: what ``celery control revoke --terminate`` does."""
        self.station.revoke(self.id)


def request_of(message: Any, station: Station, consumer: Any) -> OurRequest:
    """Return what Celery's own tools show of a call."""
    said = {name: message.headers.get(name, "")[:_LONGEST_TEXT] for name in _TEXTS}
    request = OurRequest(
        message,
        app=consumer.app,
        hostname=consumer.hostname,
        eventer=consumer.event_dispatcher,
        task=consumer.app.tasks[TASK],
        body=_NOTHING,
        headers={**_SHOWN, **said, "root_id": said["id"]},
        decoded=True,
        utc=True,
    )
    request.station = station
    return request


class OurTask(Task):  # type: ignore[misc]
    """What Celery finds when a message of ours arrives; it is never run by a pool."""

    name = TASK
    ignore_result = True

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Refuse to be called."""
        raise NotImplementedError("calls of omruntime are sent by om.runtime, not by Celery's apply_async()")
