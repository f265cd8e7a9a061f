"""Who works, by what workers say of themselves."""

from __future__ import annotations

import threading

from omruntime_celery.presence import Presence, pack_presence

from omruntime.abc import WorkerInfo


def test_where_one_worker_is_slow_to_answer_the_others_are_given_as_long() -> None:
    def ask() -> None:
        for number, after in enumerate((0.4, 0.75)):
            said = pack_presence(f"host {number}", 60.0, [WorkerInfo(f"celery@{number}", ("default",), "here", 1, 1)])
            threading.Timer(after, presence.hear, [said]).start()

    presence = Presence(ask)
    assert [each.name for each in presence.workers()] == ["celery@0", "celery@1"]
