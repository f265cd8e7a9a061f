"""What a server refuses in the middle of work, in our words."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from omruntime_conformance.mongodb import MongoServer
from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from omruntime.abc import Group, Space
from omruntime.errors import OmegaRuntimeError, SerializationError, StoreUnavailable
from omruntime.store import open_store
from omruntime.store.mongo.failures import is_passing, mongo_failure
from omruntime.store.mongo.location import Location
from tests.stores import real_mongodb

PLACE = Location.parse("mongodb://host/db")


@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (OperationFailure("not authorized on db to execute command", 13), StoreUnavailable, "role readWrite"),
        (OperationFailure("Authentication failed.", 18), StoreUnavailable, "refuses the login"),
        (OperationFailure("bad auth", 8000), StoreUnavailable, "refuses the login"),
        (OperationFailure("available disk space is too low", 14031), StoreUnavailable, "disk .* is full"),
        (OperationFailure("No space left on device", 1), StoreUnavailable, "disk .* is full"),
        (
            BulkWriteError({"writeErrors": [{"index": 0, "code": 13, "errmsg": "not authorized"}]}),
            StoreUnavailable,
            "role readWrite",
        ),
        (
            BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64, "errmsg": "waiting timed out"}]}),
            StoreUnavailable,
            "majority",
        ),
        (WriteConcernError("waiting for replication timed out", 64), StoreUnavailable, "majority"),
        (NetworkTimeout("host:27017: timed out"), StoreUnavailable, r"not answered for 2\.0 s"),
        (DocumentTooLarge("BSON document too large"), SerializationError, "16 MB"),
        (OperationFailure("it is a bad day", 4711), StoreUnavailable, "fails: it is a bad day"),
    ],
)
def test_each_says_what_where_and_the_next_step(raised: PyMongoError, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told) as caught:
        raise mongo_failure(raised, PLACE, 2.0)
    assert isinstance(caught.value, OmegaRuntimeError)
    assert PLACE.url in str(caught.value)


def test_what_may_pass_is_what_a_lost_connection_or_an_election_brings() -> None:
    assert is_passing(NetworkTimeout("timed out"))
    assert is_passing(OperationFailure("retry", 1, {"errorLabels": ["RetryableWriteError"]}))
    assert not is_passing(OperationFailure("not authorized", 13))


@pytest.fixture
def server_on_a_small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MongoServer]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"not exercised: no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", str(place))
            with real_mongodb() as server:
                if not isinstance(server, MongoServer):
                    pytest.skip(f"not exercised: {server}")
                if not any(place.iterdir()):
                    pytest.skip("not exercised: the disk of this server is none of ours")
                yield server
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_of_the_server_is_told_and_nothing_is_half_written(server_on_a_small_disk: MongoServer) -> None:
    store = open_store(server_on_a_small_disk.url("full"))
    store.commit([Group(Space.LEDGER, {"before": b"v"})])
    with pytest.raises(StoreUnavailable, match=r"disk of the store .* is full"):
        store.write_blob("large", (bytes([number]) * (1 << 20) for number in range(12)))
    assert list(store.blobs()) == []
    with pytest.raises(FileNotFoundError):
        store.read_blob("large")
    assert store.get(Space.LEDGER, ["before"]) == {"before": b"v"}
    store.close()
