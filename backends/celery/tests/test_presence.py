"""Who works, by what workers say of themselves."""

from __future__ import annotations

import threading

from omruntime_celery.backend import CeleryBackend
from omruntime_celery.presence import Presence, pack_presence
from tests.world import Redis, eventually

from omruntime.abc import WorkerInfo


def test_where_one_worker_is_slow_to_answer_the_others_are_given_as_long() -> None:
    def ask() -> None:
        for number, after in enumerate((0.4, 0.75)):
            said = pack_presence(f"host {number}", 60.0, [WorkerInfo(f"celery@{number}", ("default",), "here", 1, 1)])
            threading.Timer(after, presence.hear, [said]).start()

    presence = Presence(ask)
    assert [each.name for each in presence.workers()] == ["celery@0", "celery@1"]


def test_who_takes_no_calls_yet_is_not_there(redis: Redis) -> None:
    worker, client = CeleryBackend.open(redis.url), CeleryBackend.open(redis.url)
    mine = WorkerInfo("celery@0", ("default",), "here", 1, 1)
    try:
        assert client.workers() == []
        worker.announce([mine])
        worker.say_again()
        assert client.workers() == [], "nobody could ask it anything"
        worker.serve()
        eventually(lambda: client.workers() == [mine], "who takes calls")
        worker.close()
        eventually(lambda: client.workers() == [], "the end of who has left")
    finally:
        worker.close()
        client.close()
