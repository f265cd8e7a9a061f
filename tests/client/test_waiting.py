from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from omruntime.client import waiting as waiting_module
from omruntime.client.waiting import Waiting


class Watcher:
    """Resolves nothing at once: it looks after a while, as the real one does."""

    def __init__(self) -> None:
        self.watched: list[Future[bytes]] = []

    def watch(self, task: str, future: Future[bytes], *, live: bool) -> None:
        self.watched.append(future)


def session_with(outcome: bytes | None, watcher: Watcher) -> Any:
    end = SimpleNamespace(outcome=outcome) if outcome else None
    return SimpleNamespace(ledger=SimpleNamespace(state=lambda task: SimpleNamespace(end=end)), watcher=watcher)


def pushed(answer: bytes) -> Future[bytes]:
    future: Future[bytes] = Future()
    future.set_result(answer)
    return future


def test_a_push_that_only_says_that_it_is_over_is_followed_by_a_look_into_the_ledger() -> None:
    watcher = Watcher()
    waiting = Waiting("task", session_with(b"outcome", watcher), pushed(b""))
    assert waiting.wait(None, lambda: None) == b"outcome"
    assert watcher.watched == [], "nobody waits for the watcher's next look"


def test_what_the_ledger_does_not_have_yet_is_watched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher()
    monkeypatch.setattr(watcher, "watch", lambda task, future, live: future.set_result(b"later"))
    waiting = Waiting("task", session_with(None, watcher), pushed(b""))
    assert waiting.wait(None, lambda: None) == b"later"


@pytest.mark.parametrize("patience", [-1.0, 0.0], ids=["asked for late", "not there in time"])
def test_a_push_that_is_lost_is_not_waited_for_when_the_ledger_knows(
    monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    monkeypatch.setattr(waiting_module, "_PATIENCE", patience)
    watcher = Watcher()
    waiting = Waiting("task", session_with(b"outcome", watcher), Future())
    assert waiting.wait(None, lambda: None) == b"outcome"
    assert watcher.watched == []
