"""A store in memory whose every operation waits for permission, so that a test decides who goes next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, Self

from omruntime.abc import BlobInfo, Buffer, Group, Space, Store
from omruntime.errors import StoreUnavailable

__all__ = ["Actor", "DictStore", "SteppedStore"]


class DictStore(Store):
    """Records in a dict; the simplest thing that keeps the interface's word."""

    schemes = ()

    def __init__(self) -> None:
        self.records: dict[tuple[Space, str], bytes] = {}

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        return cls()

    @property
    def id(self) -> str:
        return "dict"

    @property
    def url(self) -> str:
        return "dict://"

    def commit(self, groups: Sequence[Group]) -> list[frozenset[str]]:
        answer = []
        for group in groups:
            lost = set()
            for key, value in group.inserts.items():
                if (group.space, key) in self.records:
                    lost.add(key)
                else:
                    self.records[group.space, key] = value
            if not lost:
                for key in group.deletes:
                    self.records.pop((group.space, key), None)
            answer.append(frozenset(lost))
        return answer

    def get(self, space: Space, keys: Iterable[str]) -> dict[str, bytes]:
        return {key: self.records[space, key] for key in keys if (space, key) in self.records}

    def scan(
        self, space: Space, prefix: str, *, after: str = "", reverse: bool = False, limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        keys = sorted(key for where, key in self.records if where is space and key.startswith(prefix))
        if after:
            keys = [key for key in keys if (key < after if reverse else key > after)]
        if reverse:
            keys.reverse()
        return [(key, self.records[space, key]) for key in keys[:limit]]

    def write_blob(self, name: str, chunks: Iterable[Buffer], *, sync: bool = True) -> int:
        raise NotImplementedError

    def touch_blob(self, name: str) -> bool:
        raise NotImplementedError

    def read_blob(self, name: str) -> Buffer:
        raise NotImplementedError

    def open_blob(self, name: str) -> BinaryIO:
        raise NotImplementedError

    def delete_blobs(self, names: Iterable[str]) -> None:
        assert not list(names)

    def blobs(self, prefix: str = "") -> Iterator[BlobInfo]:
        raise NotImplementedError

    def sweep_litter(self, age: float) -> None:
        raise NotImplementedError

    def close(self) -> None:
        return None


class Actor:
    """One party's code in a thread that stands still before each of its store operations."""

    def __init__(self, work: Callable[[Store], None], store: DictStore) -> None:
        self._go = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._abandoned = False
        self._stumbles = False
        self.done = False
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work, SteppedStore(store, self)), daemon=True)
        self._thread.start()
        self._stands.acquire()

    def _run(self, work: Callable[[Store], None], store: SteppedStore) -> None:
        try:
            work(store)
        except _AbandonedError:
            pass
        except BaseException as exc:  # noqa: BLE001 - told by whoever steps
            self.error = exc
        self.done = True
        self._stands.release()

    def wait_for_permission(self) -> None:
        """Stand still until `step`."""
        self._stands.release()
        self._go.acquire()
        if self._abandoned:
            raise _AbandonedError
        if self._stumbles:
            self._stumbles = False
            raise StoreUnavailable("the store is away for a moment")

    def step(self) -> None:
        """Let the actor do one store operation, and whatever it does up to the next one."""
        if not self.done:
            self._go.release()
            self._stands.acquire()
        if self.error is not None:
            raise self.error

    def finish(self) -> None:
        """Let the actor go on to its end."""
        while not self.done:
            self.step()

    def stumble(self) -> None:
        """Have the actor's next operation fail, as where the store is away for a moment."""
        self._stumbles = True

    def abandon(self) -> None:
        """Kill the actor where it stands: it does nothing more."""
        if not self.done:
            self._abandoned = True
            self._go.release()
            self._thread.join()


class _AbandonedError(BaseException):
    pass


class SteppedStore(DictStore):
    """A view of a store for one actor."""

    def __init__(self, store: DictStore, actor: Actor) -> None:
        self.records = store.records
        self._actor = actor

    def commit(self, groups: Sequence[Group]) -> list[frozenset[str]]:
        self._actor.wait_for_permission()
        return super().commit(groups)

    def get(self, space: Space, keys: Iterable[str]) -> dict[str, bytes]:
        self._actor.wait_for_permission()
        return super().get(space, keys)

    def scan(
        self, space: Space, prefix: str, *, after: str = "", reverse: bool = False, limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        self._actor.wait_for_permission()
        return super().scan(space, prefix, after=after, reverse=reverse, limit=limit)
