"""steward: what is lost ends, what is old goes."""

from __future__ import annotations

from omruntime import Omega
from omruntime.ledger import Ledger, Request, new_id
from omruntime.store import open_store
from tests.cli.commands import omruntime


def _orphan(url: str) -> str:
    """Leave a task whose runtime is gone, and return its id."""
    task = new_id()
    held = open_store(url)
    try:
        request = Request(
            name="script.run orphan", label="default", payload=[b""], submitted=1.0, runtime="a-host-gone"
        )
        Ledger(held).submit([(task, request)])
    finally:
        held.close()
    return task


def test_what_lost_its_runtime_is_ended_and_old_records_go(store: str) -> None:
    task = _orphan(store)
    ran = omruntime("steward", "--once", "--json")
    assert (ran.code, ran.json["open"], ran.json["ended"]) == (0, 1, [task])
    assert omruntime("result", task, "--json").json["error"]["type"] == "WorkerLost"
    assert omruntime("steward", "--once", "--expire", "0", "--json").json["expired"] == 1
    gone = omruntime("status", task, "--json")
    assert (gone.code, gone.json["error"]["type"]) == (3, "ResultExpired")


def test_a_pass_says_what_it_did(store: str) -> None:
    task = _orphan(store)
    told = omruntime("steward", "--once").out
    assert "1 open, 0 lost, 1 ended, 0 sent, 0 expired, 0 swept" in told
    assert f"ended {task}" in told


def test_listing_ends_what_lost_its_runtime_too(store: str) -> None:
    task = _orphan(store)
    rows = {each["id"]: each for each in omruntime("status", "--json").json}
    assert rows[task]["status"] == "FAILURE"
    with Omega() as om:
        assert om.runtime.result(task).status == "FAILURE"


def test_litter_is_swept_by_what_the_records_say(store: str) -> None:
    task, unknown = _orphan(store), new_id()
    held = open_store(store)
    try:
        ledger = Ledger(held)
        assert ledger.outcome(task, 1) is None
        assert ledger.outcome(unknown, 1) is None
        omruntime("steward", "--once")
        assert ledger.outcome(task, 1) is False
        assert ledger.forget(task)
        assert ledger.outcome(task, 1) is False
    finally:
        held.close()
    done = omruntime("run", "script", "echo", "--json").json["id"]
    with Omega() as om:
        ledger = om.session.ledger
        assert [ledger.outcome(done, attempt) for attempt in (1, 2)] == [True, False]
