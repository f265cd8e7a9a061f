"""Opening a store in MongoDB: what is made, what is refused, and how long nothing is waited for."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from pymongo.database import Database

from omruntime.errors import StoreUnavailable, VersionMismatch
from omruntime.store import open_store
from omruntime.store.mongo.creation import META, SCHEMA_VERSION
from omruntime.store.mongo.location import Location

SHORT = "serverSelectionTimeoutMS=300"


def refused(url: str, told: str) -> None:
    with pytest.raises(StoreUnavailable, match=told) as caught:
        open_store(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mongodb://u:s3cret@host", "names no database"),
        ("mongodb://u:s3cret@host/", "names no database"),
        ("mongodb://u:s3cret@host/?tls=true", "names no database"),
        ("mongodb://u:s3cret@host/a.b", r"refuses 'a\.b'.*holds '\.'"),
        ("mongodb://u:s3cret@host/a%20b", "holds ' '"),
        ("mongodb://u:s3cret@host/a$b", r"holds '\$'"),
        ("mongodb://u:s3cret@host/admin", "of MongoDB's own"),
        ("mongodb://u:s3cret@host/" + "x" * 64, "at the most 63 bytes"),
        (
            "mongodb://u:s3cret@host/db?serverSelectionTimeoutMS=soon",
            "serverSelectionTimeoutMS|serverselectiontimeoutms",
        ),
    ],
)
def test_a_url_that_names_no_database_is_refused(url: str, told: str) -> None:
    refused(url, told)


def test_the_url_has_no_login_and_keeps_its_options() -> None:
    location = Location.parse("mongodb://ann:s3cret@b:27018,a/shop?replicaSet=rs0&authSource=admin&tls=true")
    assert location.database == "shop"
    assert location.url == "mongodb://b:27018,a/shop?authSource=admin&replicaSet=rs0&tls=true"
    assert "ann:s3cret@" in location.address
    assert "s3cret" not in repr(location)


def test_nothing_at_the_address_is_told_with_how_long_it_was_waited_for() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    refused(
        f"mongodb://u:s3cret@127.0.0.1:{port}/db?{SHORT}",
        rf"nothing answers at the store mongodb://127\.0\.0\.1:{port}/db.*, waited 0\.[3-9] s",
    )


def test_a_login_that_is_refused_is_told_as_that(store_url: str) -> None:
    address = store_url.removeprefix("mongodb://").rpartition("@")[2]
    refused(f"mongodb://nobody:s3cret@{address.partition('?')[0]}?{SHORT}", "refuses the login")


def test_a_database_of_another_program_is_refused_and_left_alone(
    store_url: str, database: Database[dict[str, Any]]
) -> None:
    database["customers"].insert_one({"_id": 1})
    refused(store_url, r"database of another program \(collections: customers\)")
    assert database.list_collection_names() == ["customers"]


def test_another_programs_meta_is_no_store(store_url: str, database: Database[dict[str, Any]]) -> None:
    database[META].insert_one({"_id": "store", "name": "a shop"})
    refused(store_url, "database of another program")


def test_a_newer_store_is_refused_with_both_versions(store_url: str, database: Database[dict[str, Any]]) -> None:
    open_store(store_url).close()
    newer = {**(database[META].find_one({"_id": "store"}) or {}), "schema": SCHEMA_VERSION + 1}
    database[META].replace_one({"_id": "store"}, newer)
    with pytest.raises(VersionMismatch, match=f"version {SCHEMA_VERSION + 1}.*knows {SCHEMA_VERSION}: upgrade"):
        open_store(store_url)


def test_many_that_make_a_store_at_once_make_one(store_url: str, database: Database[dict[str, Any]]) -> None:
    ids: list[str] = []
    begin = threading.Barrier(6)

    def make() -> None:
        begin.wait(30)
        store = open_store(store_url)
        ids.append(store.id)
        store.close()

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1
    names = database["blobs.chunks"].index_information()
    assert sorted(names) == ["_id_", "omruntime_chunks_of_a_file"]


def test_a_making_that_was_killed_is_finished_by_the_next(store_url: str, database: Database[dict[str, Any]]) -> None:
    # As if the process had died before its last insert.
    database["blobs.chunks"].create_index([("files_id", 1), ("n", 1)], name="omruntime_chunks_of_a_file")
    with pytest.raises(StoreUnavailable, match="no store at"):
        open_store(store_url, create=False)
    open_store(store_url).close()
    open_store(store_url, create=False).close()
