"""omruntime on Celery: Redis or RabbitMQ bring the calls, Celery's own workers run them."""

from __future__ import annotations

from typing import Any

from omruntime import OmegaRuntime
from omruntime_celery.address import shown
from omruntime_celery.backend import CeleryBackend
from omruntime_celery.broker import address_of

__all__ = ["OmegaRuntimeCelery"]


class OmegaRuntimeCelery(OmegaRuntime):
    """A runtime on a Celery broker, or with a Redis and a worker of its own where no address is given.

    Args:
        url: address of the broker: ``redis://host/0``, ``rediss://``, ``sentinel://``, ``amqp://``, ``amqps://``,
            also with ``celery+`` before it. What follows a ``?`` are options of kombu's transport.
        app: a Celery app of the user's; its broker and its configuration are used, and not changed.
        **options: as in `OmegaRuntime`; and ``conf``, further settings of the Celery app that is made for ``url``.

    Raises:
        BackendUnavailable: no broker answers at the address.
        TypeError: both an address and an app were given.
    """

    backend = CeleryBackend

    def __init__(self, url: str | None = None, *, app: Any = None, **options: Any) -> None:
        if app is not None:
            if url is not None:
                raise TypeError(f"give an address or an app, not both; the app's broker is {shown(address_of(app))}")
            super().__init__(address_of(app), app=app, **options)
        else:
            super().__init__(url, **options)
