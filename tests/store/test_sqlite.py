"""The store of one machine: where it may be, what it refuses, forks, races and full disks."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from omruntime.abc import Group, Space
from omruntime.errors import StoreUnavailable, VersionMismatch
from omruntime.store import open_store
from omruntime.store.sqlite import filesystems
from omruntime.store.sqlite.creation import SCHEMA_VERSION
from omruntime.store.sqlite.location import Location


def one(key: str) -> list[Group]:
    return [Group(Space.LEDGER, {key: b"v"})]


def test_a_relative_url_is_made_absolute_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///some/where")
    assert store.url == f"sqlite:///{tmp_path}/some/where"
    store.close()
    assert sorted(each.name for each in (tmp_path / "some/where").iterdir()) == ["blobs", "ledger.db", "omruntime.db"]


def test_a_path_that_ends_in_db_is_one_file(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/one.db")
    store.write_blob("b", [b""])
    store.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["one.db", "one.db.blobs", "one.db.ledger"]


def test_the_home_directory_can_be_named() -> None:
    assert Location.parse("sqlite:///~/s").root == Path.home() / "s"


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite://host/path", "sqlite:///:memory:", "sqlite:/path"]
)
def test_a_url_that_names_no_place_is_refused(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="sqlite:///relative"):
        open_store(url)


def refused(url: str, match: str) -> None:
    with pytest.raises(StoreUnavailable, match=match):
        open_store(url)


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for content in (b"", b"hello", b"x" * 5000):
        path.write_bytes(content)
        refused(f"sqlite:///{path}", "no SQLite file")
        assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    before = path.read_bytes()
    refused(f"sqlite:///{path}", "another program")
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["x.db"]


def test_a_directory_in_a_files_place_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "x.db").mkdir()
    refused(f"sqlite:///{tmp_path}/x.db", "is a directory")
    (tmp_path / "file").write_text("")
    refused(f"sqlite:///{tmp_path}/file", "is a file")
    refused(f"sqlite:///{tmp_path}/file/below", "Not a directory")
    (tmp_path / "dir/omruntime.db").mkdir(parents=True)
    refused(f"sqlite:///{tmp_path}/dir", "changed places")


def test_a_newer_store_is_refused_with_both_versions(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    open_store(url).close()
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(VersionMismatch, match=f"{SCHEMA_VERSION + 1}.*{SCHEMA_VERSION}"):
        open_store(url)


def test_a_damaged_store_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    store = open_store(url)
    store.commit([Group(Space.LEDGER, {f"{i}": bytes(2000) for i in range(50)})])
    store.close()
    path = tmp_path / "x.db"
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))
    refused(url, "damaged")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "fuse.sshfs", "9p"])
def test_a_network_file_system_is_refused_by_name(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = [("/", "ext4"), (str(tmp_path), kind), ("/elsewhere", "nfs")]
    monkeypatch.setattr(filesystems, "mounts", lambda: mounted)
    refused(f"sqlite:///{tmp_path}/not/yet/there", kind)
    assert list(tmp_path.iterdir()) == []
    mounted.append((str(tmp_path / "local"), "xfs"))
    open_store(f"sqlite:///{tmp_path}/local/store").close()


def test_a_link_is_followed_to_its_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "remote", target_is_directory=True)
    monkeypatch.setattr(filesystems, "mounts", lambda: [("/", "ext4"), (str(tmp_path / "remote"), "nfs")])
    refused(f"sqlite:///{tmp_path}/link/store", "nfs")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
def test_the_mounts_of_this_machine_are_read() -> None:
    assert "/" in [point for point, _kind in filesystems.mounts()]
    assert filesystems.network_file_system(Path("/proc/self")) is None


def test_one_of_many_that_create_at_once_makes_the_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store"
    context = multiprocessing.get_context("spawn")
    with context.Pool(6) as pool:
        ids = pool.starmap(_open_and_insert, [(url, i) for i in range(12)])
        pool.close()
        pool.join()
    assert len(set(ids)) == 1
    store = open_store(url)
    assert len(store.scan(Space.LEDGER, "k")) == 12
    store.close()
    assert sorted(each.name for each in (tmp_path / "store").iterdir()) == ["blobs", "ledger.db", "omruntime.db"]


def _open_and_insert(url: str, number: int) -> str:
    store = open_store(url)
    store.commit(one(f"k{number}"))
    store.close()
    return store.id


def test_a_forked_child_reads_and_writes_and_so_does_its_parent(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store")
    store.commit(one("before"))
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                mine = store.get(Space.LEDGER, ["before"]) and not store.commit(one(f"child{number}"))[0]
                os._exit(0 if mine else 1)
            finally:
                os._exit(2)
        store.commit(one(f"parent{number}"))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(store.scan(Space.LEDGER, "")) == 7
    store.close()


def test_a_child_that_outlives_its_parents_connection_loses_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store"
    store = open_store(url)
    store.commit(one("parent"))
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            store.commit(one("child1"))
            os.read(ready, 1)
            store.commit(one("child2"))
            os._exit(0)
        finally:
            os._exit(2)
    store.commit(one("parent2"))
    # The last connection to close removes the write-ahead log: the parent must not believe that it is the last.
    store.close()
    other = open_store(url)
    other.commit(one("other"))
    os.write(go, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(ready)
    os.close(go)
    assert [key for key, _ in other.scan(Space.LEDGER, "")] == ["child1", "child2", "other", "parent", "parent2"]
    other.close()


def test_a_generation_is_new_after_what_a_fork_has_written(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store")
    seen = [store.generation(Space.LEDGER)]
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            store.commit(one(f"child{number}"))
            os._exit(0)
        os.waitpid(pid, 0)
        seen.append(store.generation(Space.LEDGER))
    store.commit(one("mine"))
    seen.append(store.generation(Space.LEDGER))
    assert len(set(map(repr, seen))) == 5
    assert store.generation(Space.LEDGER) == seen[-1]
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(tmp_path)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_is_told_and_nothing_is_half_written(small_disk: Path) -> None:
    store = open_store(f"sqlite:///{small_disk}/store")
    store.commit(one("before"))
    with pytest.raises(StoreUnavailable, match="is full"):
        store.write_blob("large", (bytes(1 << 20) for _ in range(10)))
    assert list(store.blobs()) == []
    store.write_blob("fits", [bytes(1 << 20)])
    with pytest.raises(StoreUnavailable, match="is full"):
        store.commit([Group(Space.LEDGER, {"a": b"", "b": bytes(4 << 20)}, ["before"])])
    assert [key for key, _ in store.scan(Space.LEDGER, "")] == ["before"]
    store.delete_blobs(["fits"])
    assert store.commit(one("after")) == [frozenset()]
    store.close()


def test_a_quota_of_the_process_is_told_as_a_full_disk(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(StoreUnavailable, match="is full"):
            store.write_blob("large", [bytes(2 << 20)])
        with pytest.raises(StoreUnavailable, match="is full"):
            store.commit([Group(Space.LEDGER, {"a": bytes(2 << 20)})])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(store.blobs()) == []
    assert store.commit(one("a")) == [frozenset()]
    store.close()


def test_a_store_that_was_removed_under_us_says_so(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    (tmp_path / "x.db.ledger").unlink()
    with pytest.raises(StoreUnavailable, match="gone"):
        store.commit(one("a"))
    store.close()


def test_litter_of_a_creation_that_was_killed_is_swept(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store")
    litter = tmp_path / "store/.omruntime-new-1-abc"
    litter.write_bytes(b"")
    store.sweep_litter(3600)
    assert litter.exists()
    store.sweep_litter(0)
    assert not litter.exists()
    store.close()


def test_a_store_that_was_removed_is_unavailable(tmp_path: Path) -> None:
    # A worker may have it open still, and looks after other stores as well.
    store = open_store(f"sqlite:///{tmp_path}/gone")
    try:
        shutil.rmtree(tmp_path / "gone")
        with pytest.raises(StoreUnavailable, match="gone"):
            list(store.blobs())
    finally:
        store.close()


def test_memory_does_not_grow_with_the_content(tmp_path: Path) -> None:
    program = f"""
import resource
import numpy as np
from omruntime.auth import Auth
from omruntime.store import ObjectStore, open_store
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store = open_store("sqlite:///{tmp_path}/store")
datasets = ObjectStore(store, "data/", bucket="tests", auth=Auth("u", "k"))
array = np.ones(25_000_000)
content = bytes(200_000_000)
datasets.put(np.ones(3), "warm")
before = peak()
datasets.put(array, "a")
datasets.put(content, "b")
del array, content
loaded = datasets.get("a")
assert loaded[-1] == 1
store.close()
print(peak() - before)
"""
    grown = int(subprocess.check_output([sys.executable, "-c", program], text=True))
    assert grown < 50_000 * (1024 if sys.platform == "darwin" else 1)
