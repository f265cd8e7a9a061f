"""What a client has all workers do: by an exchange of our own, since Celery's would reach the user's workers too."""

from __future__ import annotations

from uuid import uuid4

import msgspec
from kombu import Exchange, Queue

__all__ = ["ORDERS", "Order", "decode_order", "orders_queue"]

ORDERS = Exchange("omruntime.orders", type="fanout", durable=False, delivery_mode=1)
"""Where clients say what all workers are to do."""


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What all workers are to do: to say who they are, or to stop a task."""

    cancel: str = ""
    """Id of a task that the ledger has ended; empty to have them say who they are."""


_decoder = msgspec.json.Decoder(Order)


def decode_order(body: bytes) -> Order:
    """Return the order that these bytes are.

    Raises:
        ValueError: they are none.
        TypeError: they are no bytes.
    """
    return _decoder.decode(body)


def orders_queue(exclusive: bool) -> Queue:
    """Return the queue of one worker's orders, which goes with it."""
    return Queue(f"omruntime.orders.{uuid4().hex}", ORDERS, durable=False, auto_delete=True, exclusive=exclusive)
