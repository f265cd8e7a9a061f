"""What Celery, kombu and the brokers' clients raise, as omruntime says it."""

from __future__ import annotations

import ssl

import amqp.exceptions
import kombu.exceptions
import redis.exceptions
import redis.sentinel

from omruntime.abc import Translations
from omruntime.errors import BackendUnavailable
from omruntime.masking import mask_text
from omruntime_celery.address import shown

__all__ = ["ERRORS", "nobody_there"]

_AWAY = "the broker at {address} does not answer: {error}; check that it runs, then try again"

ERRORS: Translations = dict.fromkeys(
    (amqp.exceptions.AMQPError, kombu.exceptions.KombuError, redis.exceptions.RedisError, OSError),
    (BackendUnavailable, _AWAY),
)

_WHY = {
    redis.sentinel.MasterNotFoundError: "the Sentinels know no server of that master_name, or none of them answers",
    redis.exceptions.AuthenticationError: "it wants another password; give it in the URL: redis://:password@host/0",
    redis.exceptions.InvalidResponse: "what listens there is no Redis; check the port",
    redis.exceptions.TimeoutError: "it has not answered in time; check the address and the network",
    amqp.exceptions.AccessRefused: "it refuses this user; give user and password: amqp://user:password@host/vhost",
    amqp.exceptions.NotAllowed: "it does not let this user into the virtual host; it is the path of the URL",
    ssl.SSLError: (
        "the connection could not be secured; for a certificate of your own add ?ssl_ca_certs=/path/to/ca.pem"
    ),
    TimeoutError: "it has not answered in time; check the address and the network",
}
_LONGEST = 200


def nobody_there(url: str, error: BaseException) -> str:
    """Say why a broker could not be reached, and what to do about it."""
    where = shown(url).removeprefix("celery+")
    causes = _causes(error)
    why = next((said for each in causes for kind, said in _WHY.items() if isinstance(each, kind)), "")
    kind = "a RabbitMQ: rabbitmq-server" if where.startswith("amqp") else "a Redis: redis-server"
    what = _short(error)
    return f"no broker answers at {where}: {what}; " + (why or f"check the address, or start {kind}")


def _causes(error: BaseException | None) -> list[BaseException]:
    causes = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes


def _short(error: BaseException) -> str:
    """Return what an error says, without what libraries add to it for those who debug them."""
    text = mask_text(str(error).partition(" : <")[0].strip()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
