"""What every engine has without writing it: its errors translated, a loop that fetches, refusals of what it lacks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from omruntime.abc import Backend, Buffer, Call, Translations, WorkerInfo
from omruntime.errors import BackendUnavailable, StoreUnavailable, UnsupportedCapability

ERRORS: Translations = {
    KeyError: (StoreUnavailable, "no key {error}"),
    LookupError: (BackendUnavailable, "lost: {error}"),
}
CALL = Call("t", "script.run f", "default", (b"",))


class Engine(Backend):
    name = "engine"
    schemes = ("engine",)
    errors = ERRORS

    def __init__(self, raises: BaseException | None = None) -> None:
        self._raises = raises

    @classmethod
    def open(cls, url: str, **options: Any) -> Engine:
        raise IndexError(url)

    def submit(self, call: Call) -> Future[bytes]:
        if self._raises is not None:
            raise self._raises
        return Future()

    def workers(self) -> list[WorkerInfo]:
        return []

    def close(self) -> None:
        return


class Host:
    id = "h-1"

    def __init__(self, *, tied: bool = False) -> None:
        self.tied, self.freed = tied, threading.Event()

    def room(self, label: str) -> int:
        return 1

    def on_freed(self, callback: Callable[[], None]) -> None:
        return

    def give_back(self, future: Future[bytes]) -> bool:
        return False

    def submit(self, payload: Sequence[Buffer]) -> Future[bytes]:
        return Future()

    def deliver(self, packed: bytes, answer: Callable[[bytes], None]) -> Future[bytes]:
        return Future()


class Asked(Engine):
    pause = 60.0

    def __init__(self) -> None:
        super().__init__()
        self.fetched = 0
        self.has_fetched = threading.Event()

    def fetch(self, host: object) -> None:
        self.fetched += 1
        self.has_fetched.set()


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (IndexError("it"), BackendUnavailable, "^lost: it$"),
        (KeyError("k"), StoreUnavailable, "^no key 'k'$"),
        (BackendUnavailable("ours"), BackendUnavailable, "^ours$"),
        (TypeError("not in the table"), TypeError, "^not in the table$"),
    ],
)
def test_errors_are_those_of_the_table(raised: Exception, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        Engine(raised).submit(CALL)
    assert caught.value is raised or caught.value.__cause__ is raised


def test_the_table_holds_for_open_and_for_what_calls_a_method() -> None:
    with pytest.raises(BackendUnavailable, match="lost: engine://"):
        Engine.open("engine://")
    with pytest.raises(BackendUnavailable):
        Engine(IndexError()).forward(CALL)


def test_an_engine_without_workers_of_its_own_says_so() -> None:
    host = Host()
    host.freed.set()
    with pytest.raises(UnsupportedCapability, match="'engine' has no workers that 'omruntime worker'"):
        Engine().work(host, threading.Event())


@pytest.mark.parametrize(("tied", "more"), [(False, 0), (True, 1)])
def test_calls_are_fetched_as_soon_as_there_is_room(tied: bool, more: int) -> None:
    engine, host, stop = Asked(), Host(tied=tied), threading.Event()
    working = threading.Thread(target=engine.work, args=(host, stop))
    working.start()
    for _ in range(2):
        engine.has_fetched.clear()
        host.freed.set()
        assert engine.has_fetched.wait(30)
    stop.set()
    host.freed.set()
    working.join(30)
    assert not working.is_alive()
    assert engine.fetched in (2 + more, 3 + more)
