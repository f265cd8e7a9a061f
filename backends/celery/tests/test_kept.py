"""The client that a Redis channel keeps."""

from __future__ import annotations

from typing import Any

from kombu import Connection
from omruntime_celery.broker import app_for
from omruntime_celery.kept import keep_client
from omruntime_celery.post import Post
from omruntime_celery.servers import RedisServer


def _client(channel: Any) -> Any:
    with channel.conn_or_acquire() as client:
        return client


def test_a_channel_makes_one_client_for_its_connections_and_another_for_new_ones() -> None:
    server = RedisServer()
    server.start()
    post = Post(app_for(server.url), private=False)
    try:
        with post.producer() as producer:
            channel = producer.channel
            first = _client(channel)
            keep_client(channel)
            assert _client(channel) is first
            channel._disconnect_pools()
            second = _client(channel)
            assert second is not first
            assert second.connection_pool is channel.pool
            assert second.ping()
    finally:
        post.close()
        server.close()


def test_a_channel_of_another_broker_stays_as_it_is() -> None:
    with Connection("memory://") as connection:
        channel: Any = connection.channel()
        before = dict(vars(channel))
        keep_client(channel)
        assert vars(channel) == before
