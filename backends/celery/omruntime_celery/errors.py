"""What Celery, kombu and the brokers' clients raise, as omruntime says it."""

from __future__ import annotations

import amqp.exceptions
import kombu.exceptions
import redis.exceptions

from omruntime.abc import Translations
from omruntime.errors import BackendUnavailable

__all__ = ["ERRORS"]

ERRORS: Translations = {
    redis.exceptions.AuthenticationError: (
        BackendUnavailable,
        "the broker refuses the password, or asks for one: {error}; give it in the URL, redis://:password@host/0",
    ),
    amqp.exceptions.AccessRefused: (
        BackendUnavailable,
        "the broker refuses this user: {error}; give user and password in the URL, amqp://user:password@host/vhost",
    ),
    kombu.exceptions.KombuError: (BackendUnavailable, "the broker does not do what it was asked for: {error}"),
    redis.exceptions.RedisError: (BackendUnavailable, "the broker does not do what it was asked for: {error}"),
    amqp.exceptions.AMQPError: (BackendUnavailable, "the broker does not do what it was asked for: {error}"),
    OSError: (BackendUnavailable, "the broker cannot be reached: {error}"),
}
