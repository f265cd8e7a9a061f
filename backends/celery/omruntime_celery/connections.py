"""Connections to the broker: how they are closed with all that they have, and a pool of them that is ours alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from kombu import Connection
from kombu.connection import ConnectionPool
from kombu.exceptions import OperationalError
from kombu.utils.functional import lazy

__all__ = ["Connections", "calling", "errors_of", "hang_up"]

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


class Connections(ConnectionPool):  # type: ignore[misc]
    """Connections of our own: those of kombu's pools live as long as the process, and belong to all of it."""

    def collect_resource(self, resource: Connection, socket_timeout: float = 0.0) -> None:
        """Close a connection, where it has been made."""
        if not isinstance(resource, lazy):
            hang_up(resource)
