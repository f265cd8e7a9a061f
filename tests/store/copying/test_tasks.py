"""Tasks in a copy: those that are over, with all that can be asked of them; and none that would run twice."""

from __future__ import annotations

from typing import Any

import pytest

from omruntime.abc import Group, Space, Store
from omruntime.errors import CopyRefused, ResultExpired, StoreUnavailable, UnknownTask, VersionMismatch
from omruntime.ledger import LeaseHolder, Ledger, bar_claim, facts, lost_end
from omruntime.ledger.copying import task_changes
from omruntime.ledger.facts import canvas_key, mark_key, sent_key
from omruntime.ledger.transfer import check_source, copy_store
from tests.ledger.made import claim, end, keys, request, submitted
from tests.store.copying.conftest import INTO
from tests.store.copying.seen import assert_whole, contents

pytestmark = pytest.mark.parametrize("urls", INTO, ids="-".join, indirect=True)


def over(ledger: Ledger, task: str, state: str = "SUCCESS", attempts: int = 1, **given: object) -> None:
    """Have a task end with its last attempt, all the others lost."""
    submitted(ledger, task)
    for attempt in range(1, attempts + 1):
        ledger.claim(task, claim(f"h-{attempt}"))
        last = end(state, **given)
        ledger.end(task, attempt, last if attempt == attempts else lost_end(last))
    ledger.remove_requests([task])


def test_what_is_over_can_be_asked_for_in_the_copy(source: Store, target: Store) -> None:
    ledger = Ledger(source)
    source.write_blob("t-valued-r1-0", [b"a large value"])
    over(ledger, "valued", blobs=["t-valued-r1-0"])
    over(ledger, "retried", "FAILURE", attempts=12)
    submitted(ledger, "cancelled")
    ledger.close_task("cancelled", 1, end("REVOKED"))
    over(ledger, "printed", logs="")
    ledger.keep_logs("printed", 1, "said before it was stopped")
    over(ledger, "forgotten")
    ledger.forget("forgotten")
    tally = copy_store(source, target)
    assert contents(target) == contents(source)
    assert tally.tasks == 5
    copied = Ledger(target)
    tasks = ("valued", "retried", "cancelled", "printed")
    assert [copied.state(task) for task in tasks] == [ledger.state(task) for task in tasks]
    assert copied.logs(["printed"]) == "said before it was stopped"
    assert bytes(target.read_blob("t-valued-r1-0")) == b"a large value"
    with pytest.raises(ResultExpired):
        copied.state("forgotten")
    with pytest.raises(UnknownTask):
        copied.state("never")
    assert copy_store(source, target).blobs == 0


def test_a_canvas_that_is_over_keeps_its_plan_and_one_that_goes_on_only_what_its_steps_have_done(
    source: Store, target: Store
) -> None:
    ledger = Ledger(source)
    for canvas in ("over", "open"):
        submitted(ledger, canvas, name="canvas.sequence", canvas=canvas)
        source.commit([Group(Space.LEDGER, {canvas_key(canvas): b"plan", mark_key(canvas, 0, 0, 0): b""})])
        over(ledger, f"{canvas}-000000")
    submitted(ledger, "open-000001", canvas="open")
    ledger.close_task("over", 1, end(name="canvas.sequence"))
    tally = copy_store(source, target, in_use=True)
    assert keys(target, "canvas:") == ["canvas:over"]
    assert keys(target, "mark:") == []
    assert tally.left == ["open", "open-000001"]
    assert set(Ledger(target).ends(["over", "over-000000", "open-000000", "open"])) == {
        "over",
        "over-000000",
        "open-000000",
    }
    assert_whole(target)


def test_work_under_way_is_not_in_a_copy_and_comes_when_it_is_over(source: Store, target: Store) -> None:
    ledger = Ledger(source)
    submitted(ledger, "waiting")
    submitted(ledger, "running")
    ledger.claim("running", claim())
    submitted(ledger, "again")
    ledger.claim("again", claim())
    ledger.end("again", 1, end("retry"))
    source.commit([Group(Space.LEDGER, {sent_key("again", 2, 1): b"sent"})])
    LeaseHolder(source, "host", 5.0)
    with pytest.raises(CopyRefused, match=r"not over.*again, running, waiting.*--in-use") as refused:
        check_source(_without_leases(source))
    assert refused.value.names == ("again", "running", "waiting")
    tally = copy_store(source, target, in_use=True)
    assert tally.left == ["again", "running", "waiting"]
    assert keys(target) == []
    for task, attempt in (("again", 2), ("running", 1), ("waiting", 1)):
        ledger.claim(task, claim())
        ledger.end(task, attempt, end())
        ledger.remove_requests([task])
    check_source(source)
    assert copy_store(source, target).left == []
    assert Ledger(target).state("again").attempt == 2
    assert not keys(target, "request:") + keys(target, "sent:") + keys(target, "lease:")


def _without_leases(store: Store) -> Store:
    Ledger(store).remove_all("lease:")
    return store


def test_a_task_whose_request_is_left_over_is_over_all_the_same(source: Store, target: Store) -> None:
    ledger = Ledger(source)
    submitted(ledger, "t")
    ledger.claim("t", claim())
    ledger.end("t", 1, end())
    check_source(source)
    assert copy_store(source, target).tasks == 1
    assert Ledger(target).state("t").status == "SUCCESS"


def test_what_is_forgotten_in_the_source_is_forgotten_in_the_copy(source: Store, target: Store) -> None:
    ledger = Ledger(source)
    over(ledger, "t", attempts=3)
    submitted(ledger, "c", name="canvas.sequence", canvas="c")
    source.commit([Group(Space.LEDGER, {canvas_key("c"): b"plan"})])
    ledger.close_task("c", 1, end(name="canvas.sequence"))
    copy_store(source, target)
    ledger.forget("t")
    ledger.forget("c")
    copy_store(source, target)
    assert keys(target) == keys(source) == ["claim:c:1", "claim:t:1"]


def test_another_end_of_the_same_task_is_refused(source: Store, target: Store) -> None:
    over(Ledger(source), "t")
    over(Ledger(target), "t", "FAILURE")
    before = contents(target)
    with pytest.raises(CopyRefused, match=r"task t: --replace"):
        copy_store(source, target)
    assert contents(target) == before
    copy_store(source, target, replace=True)
    assert contents(target) == contents(source)


def test_a_task_that_has_lost_its_value_is_left_out_and_told(source: Store, target: Store) -> None:
    over(Ledger(source), "t", blobs=["t-t-r1-0"])
    over(Ledger(source), "u")
    with pytest.raises(StoreUnavailable, match=r"task t \(t-t-r1-0 is gone\)"):
        copy_store(source, target)
    assert [key.split(":")[1] for key in keys(target, "end:")] == ["u"]


def test_a_kind_of_fact_that_is_not_known_is_refused_by_its_name(source: Store) -> None:
    over(Ledger(source), "t")
    source.commit([Group(Space.LEDGER, {"schedule:daily": b""})])
    with pytest.raises(VersionMismatch, match=r"'schedule'.*upgrade"):
        check_source(source)


def test_a_task_that_ends_between_two_looks_is_not_taken_for_expired(source: Store, target: Store) -> None:
    ledger = Ledger(source)
    submitted(ledger, "t")
    ledger.claim("t", claim())
    scan = source.scan

    def listed(space: Space, prefix: str, **options: Any) -> list[tuple[str, bytes]]:
        found = scan(space, prefix, **options)
        if prefix == "claim:" and found:
            # It is tried again and ends, all of it behind the look at its claims.
            ledger.end("t", 1, end("retry"))
            ledger.claim("t", claim())
            ledger.end("t", 2, end())
            ledger.remove_requests(["t"])
        return found

    left: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "scan", listed)
        assert list(task_changes(source, target, left, replace=False)) == []
    assert left == {"t"}
    assert copy_store(source, target).left == []
    assert Ledger(target).state("t").attempt == 2


def test_a_barred_canvas_is_nothing_to_copy(source: Store, target: Store) -> None:
    ledger = Ledger(source)
    ledger.abort_canvas("given-up")
    source.commit([Group(Space.LEDGER, {"claim:barred:1": facts.encode(bar_claim())})])
    ledger.submit([("given-up-000000", request(canvas="given-up"))])
    check_source(source)
    copy_store(source, target)
    assert keys(target) == ["claim:barred:1"]
