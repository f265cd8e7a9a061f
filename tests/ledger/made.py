"""Facts as tests need them, and stores that fail as networks do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from omruntime.abc import Group, Space, Store
from omruntime.errors import StoreUnavailable
from omruntime.ledger import Claim, End, Ledger, Request
from tests.ledger.stepped import DictStore

__all__ = ["Fails", "LosesAcknowledgements", "claim", "end", "keys", "request", "submitted"]


def request(**given: object) -> Request:
    """A request of an engine that outlives its clients."""
    facts: dict[str, object] = {"name": "model.fit m", "label": "default", "payload": [b"head"], "submitted": 1.0}
    return Request(**{**facts, **given})  # type: ignore[arg-type]


def claim(host: str = "h-1", nonce: str | None = None) -> Claim:
    return Claim(host=host, nonce=nonce or f"nonce of {host}", worker=f"worker of {host}", started=2.0)


def end(state: str = "SUCCESS", **given: object) -> End:
    facts: dict[str, object] = {
        "state": state,
        "outcome": b"outcome",
        "name": "model.fit m",
        "worker": "w",
        "submitted": 1.0,
        "started": 2.0,
        "ended": 3.0,
    }
    return End(**{**facts, **given})  # type: ignore[arg-type]


def submitted(ledger: Ledger, task: str = "t", **given: object) -> str:
    """Submit a task and return its id."""
    ledger.submit([(task, request(**given))])
    return task


def keys(store: Store, prefix: str = "") -> list[str]:
    """All keys of the ledger that begin with a prefix."""
    return [key for key, _ in store.scan(Space.LEDGER, prefix)]


class LosesAcknowledgements(DictStore):
    """A store that writes, and fails before it can say so, as often as it is told to."""

    def __init__(self, store: DictStore, times: int) -> None:
        self.records = store.records
        self._times = times

    def commit(self, groups: Sequence[Group]) -> list[frozenset[str]]:
        answer = super().commit(groups)
        if self._times:
            self._times -= 1
            raise StoreUnavailable("the acknowledgement was lost")
        return answer


class Fails(DictStore):
    """A store that cannot be read while ``down`` says so."""

    def __init__(self, store: DictStore, down: Callable[[], bool]) -> None:
        self.records = store.records
        self._down = down

    def scan(
        self, space: Space, prefix: str, *, after: str = "", reverse: bool = False, limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        if self._down():
            raise StoreUnavailable("down")
        return super().scan(space, prefix, after=after, reverse=reverse, limit=limit)

    def get(self, space: Space, keys: Iterable[str]) -> dict[str, bytes]:
        if self._down():
            raise StoreUnavailable("down")
        return super().get(space, keys)
