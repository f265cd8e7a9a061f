"""store copy: a whole store goes into another one, and everything in it can be used there."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from omruntime_conformance import NotExercised
from sklearn.linear_model import LogisticRegression

from omruntime import Omega
from omruntime.abc import Buffer
from omruntime.cli import progress
from omruntime.cli.progress import copying
from omruntime.ledger import LeaseHolder, Ledger, Request, new_id
from omruntime.store import open_store
from omruntime.store.copying import Tally
from omruntime.store.sqlite import SqliteStore
from tests.cli.commands import omruntime
from tests.cli.test_terminal import _Terminal
from tests.stores import real_mongodb


@pytest.fixture
def urls(tmp_path: Path) -> tuple[str, str]:
    return f"sqlite:///{tmp_path}/from", f"sqlite:///{tmp_path}/to"


def fill(url: str, count: int = 3) -> None:
    with Omega(url) as om:
        for number in range(count):
            om.datasets.put(number, f"d{number}")


def test_a_model_fitted_here_predicts_on_the_copy(urls: tuple[str, str]) -> None:
    with Omega(urls[0]) as om:
        om.datasets.put([[0.0], [1.0]], "X")
        om.models.put(LogisticRegression(), "m")
        om.runtime.model("m").fit("X", [0, 1]).get()
        task = om.runtime.model("m").predict("X")
        assert list(task.get()) == [0, 1]
    ran = omruntime("store", "copy", *urls)
    assert (ran.code, ran.err) == (0, "")
    assert "has 2 objects and 2 tasks" in ran.out
    with Omega(urls[1]) as om:
        assert list(om.runtime.result(task.id).get()) == [0, 1]
        assert list(om.runtime.model("m").predict("X").get()) == [0, 1]
        assert len(om.models.revisions("m")) == 2


def test_what_was_done_is_told_to_programs(urls: tuple[str, str]) -> None:
    fill(urls[0])
    first, second = (omruntime("store", "copy", *urls, "--json").json for _ in range(2))
    assert (first["from"], first["to"], first["objects"], first["blobs"]) == (*urls, 3, 3)
    assert [second[name] for name in ("objects", "blobs", "kept", "changed", "left")] == [3, 0, 3, [], []]


def test_a_store_in_use_is_refused_and_the_target_is_not_even_made(urls: tuple[str, str]) -> None:
    fill(urls[0])
    held = open_store(urls[0])
    LeaseHolder(held, "h-1", 5.0)
    ran = omruntime("store", "copy", *urls)
    assert ran.code == 2
    assert "in use by process" in ran.err
    assert "--in-use" in ran.err
    assert not Path(urls[1].removeprefix("sqlite:///")).exists()
    task = new_id()
    Ledger(held).submit([(task, Request("script.run slow", "default", [], 0.0))])
    held.close()
    ran = omruntime("store", "copy", *urls, "--in-use")
    assert ran.code == 0
    assert f"not over, and so not in the copy: {task}" in ran.err
    assert omruntime("status", task, "--store", urls[1], "--json").json["error"]["type"] == "UnknownTask"


def test_other_content_is_refused_by_name(urls: tuple[str, str]) -> None:
    fill(urls[0])
    with Omega(urls[1]) as om:
        om.datasets.put("theirs", "d1")
    ran = omruntime("store", "copy", *urls, "--json")
    assert (ran.code, ran.json["error"]["type"]) == (2, "CopyRefused")
    assert "data/d1 (bucket default): --replace" in ran.json["error"]["message"]
    assert omruntime("store", "copy", *urls, "--replace").code == 0
    with Omega(urls[1]) as om:
        assert om.datasets.get("d1") == 1


def test_what_cannot_be_copied_says_why(urls: tuple[str, str], tmp_path: Path) -> None:
    ran = omruntime("store", "copy", *urls)
    assert (ran.code, "there is no store at" in ran.err) == (4, True)
    fill(urls[0])
    same = omruntime("store", "copy", urls[0], urls[0].replace("/from", "/./from"))
    assert (same.code, "are the same store" in same.err) == (2, True)
    assert omruntime("store", "copy", *urls, "--bucket", "b").code == 2
    fill(urls[1], 1)
    with sqlite3.connect(tmp_path / "to" / "omruntime.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    newer = omruntime("store", "copy", *urls)
    assert (newer.code, "upgrade omruntime" in newer.err) == (4, True)
    assert "Did you mean 'copy'?" in omruntime("store", "cpy").err


def test_whoever_interrupts_a_copy_is_told_that_the_same_command_goes_on(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(urls[0])
    writes, write = iter([None, None, KeyboardInterrupt()]), SqliteStore.write_blob

    def interrupted(self: SqliteStore, name: str, chunks: Iterable[Buffer], **options: Any) -> int:
        if (problem := next(writes)) is not None:
            raise problem
        return write(self, name, chunks, **options)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "write_blob", interrupted)
        ran = omruntime("store", "copy", *urls)
    assert ran.code == 130
    assert "the same command goes on" in ran.err
    done = omruntime("store", "copy", *urls, "--json").json
    assert (done["blobs"], done["kept"], done["objects"]) == (1, 2, 3)


def test_a_disk_that_is_full_is_told_with_what_to_do(urls: tuple[str, str]) -> None:
    with Omega(urls[0]) as om:
        om.datasets.put("small", "a")
        om.datasets.put(bytes(4 << 20), "b")
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2);"
        "from omruntime.cli.app import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", limited, "store", "copy", *urls], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 4
    assert "is full" in ran.stderr
    assert "the same command goes on" in ran.stderr
    assert omruntime("store", "copy", *urls).code == 0


def test_a_copy_that_is_killed_is_gone_on_with(urls: tuple[str, str]) -> None:
    fill(urls[0], 5)
    dying = (
        "import os, signal, omruntime.store.sqlite.store as sqlite\n"
        "write, count = sqlite.SqliteStore.write_blob, []\n"
        "def counted(*args, **kwargs):\n"
        "    count.append(1) if len(count) < 3 else os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return write(*args, **kwargs)\n"
        "sqlite.SqliteStore.write_blob = counted\n"
        "from omruntime.cli.app import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", dying, "store", "copy", *urls], capture_output=True, check=False)
    assert ran.returncode == -signal.SIGKILL
    done = omruntime("store", "copy", *urls, "--json").json
    assert (done["blobs"], done["kept"], done["objects"]) == (2, 3, 5)


@pytest.mark.mongodb
def test_a_store_moves_to_mongodb_and_back_and_no_password_is_said(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(urls[0])
    with real_mongodb() as server:
        if isinstance(server, NotExercised):
            pytest.skip(f"not exercised: {server}")
        there, full = server.url("shop", user="sales", password="s3cret"), server.url("shop")
        assert "s3cret" in there
        monkeypatch.setenv("OMRUNTIME_STORE", there)
        shown = there.replace("sales:s3cret@", "")
        ran = [omruntime("store", "copy", urls[0], shown), omruntime("store", "copy", there, urls[1])]
        assert [each.code for each in ran] == [0, 0], ran
        assert f"{shown} has 3 objects" in ran[0].out
        again = omruntime("store", "copy", shown, full)
        assert (again.code, "same store" in again.err) == (2, True)
        assert "s3cret" not in "".join(each.out + each.err for each in [*ran, again])
    with Omega(urls[1]) as om:
        assert [om.datasets.get(f"d{number}") for number in range(3)] == [0, 1, 2]


def test_a_bar_shows_how_far_a_long_copy_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal("1.0/4.0 MB")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setenv("COLUMNS", "120")
    tally = Tally(stage="copying", total=4_000_000, done=1_000_000, objects=7)
    with copying(tally):
        assert terminal.shown.wait(30)
    assert "copying (7 objects, 0 tasks)" in terminal.getvalue()
