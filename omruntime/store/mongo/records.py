"""Records as documents: unique by their ``_id``, inserted, looked up by it, and deleted; never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from pymongo import DeleteOne
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError

from omruntime.abc.store import Group, Space
from omruntime.store.mongo.connection import Connection, Document, Documents
from omruntime.store.mongo.failures import duplicates
from omruntime.store.prefixes import end_of

__all__ = ["Records", "delete_documents", "find_documents"]

_MOST_KEYS = 1000
_PAGE = 1000


class Records:
    """The records of one store: a collection for each space, documents of ``_id`` and ``v``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def commit(self, groups: Sequence[Group]) -> list[frozenset[str]]:
        """Write groups in order; several records of one group in any order, see `Group`.

        Groups of one insert that follow each other share a round trip, and keep their order.
        """
        lost: list[frozenset[str]] = []
        for (space, simple), together in groupby(groups, key=lambda group: (group.space, _is_one_insert(group))):
            if simple:
                records = [record for group in together for record in group.inserts.items()]
                missed = _Insertion(self._connection, space, records, ordered=True).perform()
                lost += [frozenset([key] if place in missed else []) for place, (key, _) in enumerate(records)]
            else:
                lost += [self._apply(group) for group in together]
        return lost

    def _apply(self, group: Group) -> frozenset[str]:
        records = list(group.inserts.items())
        missed = _Insertion(self._connection, group.space, records, ordered=False).perform()
        if group.deletes and not missed:
            self._connection.use(lambda documents: delete_documents(documents[group.space.value], group.deletes))
        return frozenset(records[place][0] for place in missed)

    def get(self, space: Space, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the records of these keys, leaving out missing ones."""
        wanted = list(dict.fromkeys(keys))
        many = self._connection.server.indexes_many
        return self._connection.use(
            lambda documents: {
                each["_id"]: each["v"] for each in find_documents(documents[space.value], wanted, many)
            }
        )

    def scan(
        self, space: Space, prefix: str, after: str, reverse: bool, limit: int | None
    ) -> list[tuple[str, bytes]]:
        """Return records whose key begins with ``prefix`` in order, see `Store.scan`."""
        if limit == 0:
            return []
        bounds = {"$gte": prefix} if prefix else {}
        if end := end_of(prefix):
            bounds["$lt"] = end
        if after and reverse:
            bounds["$lt"] = min(end, after) if end else after
        elif after and after >= prefix:
            bounds.pop("$gte", None)
            bounds["$gt"] = after
        wanted = {"_id": bounds} if bounds else {}

        def work(documents: Documents) -> list[tuple[str, bytes]]:
            found = documents[space.value].find(wanted, batch_size=min(limit or _PAGE, _PAGE))
            ordered = found.sort("_id", -1 if reverse else 1).limit(limit or 0)
            return [(each["_id"], each["v"]) for each in ordered]

        return self._connection.use(work)


class _Insertion:
    """Inserts of several records, which can be taken up again when their acknowledgement was lost.

    Attributes:
        missed: places of the records whose key another writer has.
    """

    def __init__(
        self, connection: Connection, space: Space, records: Sequence[tuple[str, bytes]], *, ordered: bool
    ) -> None:
        self._connection = connection
        self._space = space
        self._records = records
        self._ordered = ordered
        self._next = 0
        self._doubtful = False
        self.missed: set[int] = set()

    def perform(self) -> set[int]:
        """Insert what can be inserted, and return the places of what could not."""
        if self._records:
            self._connection.use(self._insert)
        return self.missed

    def _insert(self, documents: Documents) -> None:
        collection = documents[self._space.value]
        try:
            while self._next < len(self._records):
                self._insert_rest(collection)
        except AutoReconnect:
            # Some may have been written: what is there already next time may be ours.
            self._doubtful = True
            raise

    def _insert_rest(self, collection: Collection[Document]) -> None:
        rest = [{"_id": key, "v": value} for key, value in self._records[self._next :]]
        try:
            if len(rest) == 1:
                collection.insert_one(rest[0])
            else:
                collection.insert_many(rest, ordered=self._ordered)
        except DuplicateKeyError:
            self._note(collection, [self._next])
        except BulkWriteError as exc:
            self._note(collection, [self._next + place for place in duplicates(exc)])
            if self._ordered:
                return
        self._next = len(self._records)

    def _note(self, collection: Collection[Document], places: list[int]) -> None:
        for place in places:
            key, value = self._records[place]
            if not self._doubtful or (collection.find_one({"_id": key}) or {}).get("v") != value:
                self.missed.add(place)
        if self._ordered:
            self._next = places[-1] + 1


def _is_one_insert(group: Group) -> bool:
    return len(group.inserts) == 1 and not group.deletes


def find_documents(
    collection: Collection[Document], ids: Sequence[str], indexes_many: bool, fields: Sequence[str] | None = None
) -> Iterator[Document]:
    """Look documents up by their ids, so that the server answers from its index; in any order.

    Args:
        collection: where they are.
        ids: their ids.
        indexes_many: the server does that for several at once.
        fields: what is wanted of them; None for all.
    """
    if len(ids) == 1 or not indexes_many:
        for id in ids:
            found = collection.find_one({"_id": id}, fields)
            if found is not None:
                yield found
        return
    for start in range(0, len(ids), _MOST_KEYS):
        page = list(ids[start : start + _MOST_KEYS])
        yield from collection.find({"_id": {"$in": page}}, fields, batch_size=len(page))


def delete_documents(collection: Collection[Document], ids: Iterable[str]) -> None:
    """Delete documents in order, each by its id, in as few round trips as it takes; missing ones are fine."""
    deletions = [DeleteOne({"_id": id}) for id in ids]
    if deletions:
        collection.bulk_write(deletions)
