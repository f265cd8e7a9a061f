"""Connections to a broker that are closed with all that they have, also where the broker says nothing any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from kombu import Connection
from kombu.exceptions import OperationalError

__all__ = ["calling", "errors_of", "hang_up"]

_GOODBYE = 1.0
"""Seconds that a broker is given to take leave of a connection."""


def errors_of(app: Celery) -> tuple[type[BaseException], ...]:
    """Return what connections and channels of an app's broker raise, without making one."""
    transport = app.connection_for_write().get_transport_cls()
    return (OperationalError, OSError, *transport.connection_errors, *transport.channel_errors)


def hang_up(connection: Connection) -> None:
    """Close a connection with all that it has, and do not wait long for a broker that says nothing."""
    socket = getattr(connection.connection, "sock", None) if connection.connected else None
    if socket is not None:
        socket.settimeout(_GOODBYE)
    # The poller of a Redis: kombu leaves it to the garbage collector.
    cycle = getattr(connection.transport, "cycle", None)
    # A connection of a pool would go back to it.
    Connection.release(connection)
    if cycle is not None:
        cycle.poller.close()


@contextmanager
def calling(connection: Connection) -> Iterator[Connection]:
    """Have a connection for the time of a block."""
    try:
        yield connection
    finally:
        hang_up(connection)
