"""What Celery's worker reads messages with: each of them goes to the host, whatever task it names."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.worker.consumer import Consumer
from celery.worker.loops import asynloop, synloop
from kombu import Connection

__all__ = ["StationConsumer"]

_log = logging.getLogger("omruntime.celery")


class StationConsumer(Consumer):  # type: ignore[misc]
    """A consumer none of whose messages goes to a task of Celery's."""

    def __init__(self, *args: Any, worker_options: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        # Workers of omruntime have nothing to tell each other, and mingling takes a second.
        alone = {"without_mingle": True, "without_gossip": True}
        super().__init__(*args, worker_options={**(worker_options or {}), **alone}, **kwargs)

    def create_task_handler(self, *_: Any) -> Callable[[Any], None]:
        """Return what takes messages: Celery's own would decode some, and log what it cannot use."""
        take: Callable[[Any], None] = self.controller.omruntime.take
        return take

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse a message that the transport could not unpack; nothing of it is logged."""
        _log.warning("a message was refused, and nothing of it decoded: %s", type(exc).__name__)
        message.ack_log_error(_log, self.connection_errors)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Connect again; tasks that run now are the ledger's, and Celery's advice on them is not for us."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            super().on_connection_error_after_connected(exc)

    def ensure_connected(self, conn: Connection) -> Connection:
        """Try a broker that is gone every second at the latest; Celery's own pauses grow by two seconds each."""
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=0.1, interval_step=0.2, interval_max=1.0
        )
        return super().ensure_connected(conn)

    def loop(self, *args: Any) -> None:
        """Read messages; raise an error of the connection for what is no message at all, so that it is made again."""
        try:
            (asynloop if self.hub else synloop)(*args)
        except (*self.connection_errors, *self.channel_errors):
            raise
        except (ValueError, LookupError, TypeError, AttributeError) as exc:
            _log.warning("what came from the broker is no message: %s; it was dropped", type(exc).__name__)
            raise ConnectionResetError("the connection is made again after something that was no message") from exc
