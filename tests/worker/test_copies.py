"""The copy of a run: one name, one content, and nothing of a writer that is late."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from omruntime import Auth, Omega
from omruntime.errors import TaskRevoked
from omruntime.ledger import End, new_id
from omruntime.store import Effect, settle_group
from omruntime.wire import PYTHON, WIRE, CallHeader
from omruntime.worker import copies
from omruntime.worker.context import TaskContext
from omruntime.worker.copies import ExecutedCopy
from omruntime.worker.sites import Site


@pytest.fixture
def om(store_url: str) -> Iterator[Omega]:
    with Omega(store_url) as made:
        yield made


class Told:
    """What the host has been told."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.names: list[str] = []

    def __call__(self, effects: list[Effect], results: str) -> None:
        self.effects = effects
        self.names.append(results)


def notebook(*cells: str) -> Any:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def context_of(om: Omega, told: Told, place: Path, task: str = "", name: str = "n") -> TaskContext:
    store = om.store
    facts: dict[str, Any] = {"wire": WIRE, "python": PYTHON, "bucket": "default", "parts": []}
    named: dict[str, Any] = {
        "kind": "job",
        "name": name,
        "action": "run",
        "label": "default",
        "user": "u",
        "submitted": 0.0,
    }
    header = CallHeader(**facts, **named, id=task or new_id(), store_id=store.id, store_url=store.url)
    return TaskContext(header, 1, Site(store, None), om, place, Auth("u", "k"), told)


def end(om: Omega, context: TaskContext, state: str) -> None:
    fact = End(state=state, outcome=b"", name="", worker="", submitted=0.0, started=0.0, ended=0.0)
    assert om.session.ledger.end(context.header.id, 1, fact)


def message(om: Omega, name: str) -> str:
    return str(om.jobs.metadata(name).attributes["job_run"]["message"])


def test_a_copy_is_named_alike_however_its_notebook_was_called(om: Omega, tmp_path: Path) -> None:
    for name in ("n", "n.ipynb"):
        copy = ExecutedCopy(context_of(om, Told(), tmp_path, name=name), notebook("1"), {})
        assert re.fullmatch(r"results/n_[-0-9]+ [:.0-9]+\.ipynb", copy.name)


@pytest.mark.parametrize("state", ["FAILURE", "REVOKED", "SUCCESS"])
def test_what_was_kept_last_counts_with_every_final_end(om: Omega, tmp_path: Path, state: str) -> None:
    told = Told()
    context = context_of(om, told, tmp_path)
    copy = ExecutedCopy(context, notebook("1"), {})
    for at in ("here", "there"):
        copy.keep(at)
        assert om.jobs.list("results/*") == []
    assert told.names == [copy.name] * 2
    assert len(context.effects()) == 1
    end(om, context, state)
    assert message(om, copy.name) == "it was stopped there", "it is current before the host has settled it"
    om.store.commit([settle_group(told.effects)])
    assert message(om, copy.name) == "it was stopped there"
    assert not om.jobs.peek(copy.name).record.staged


@pytest.mark.parametrize("state", ["retry", "lost"])
def test_nothing_counts_of_an_attempt_that_another_one_follows(om: Omega, tmp_path: Path, state: str) -> None:
    context = context_of(om, Told(), tmp_path)
    ExecutedCopy(context, notebook("1"), {}).keep("here")
    end(om, context, state)
    assert om.jobs.list("results/*") == []


@pytest.mark.parametrize("state", ["lost", "FAILURE"])
def test_a_writer_that_is_late_changes_nothing(om: Omega, tmp_path: Path, state: str) -> None:
    told = Told()
    context = context_of(om, told, tmp_path)
    copy = ExecutedCopy(context, notebook("1"), {})
    copy.keep("in time")
    before = om.jobs.list("results/*")
    end(om, context, state)
    om.store.commit([settle_group(told.effects)] if state == "FAILURE" else [])
    for late in (lambda: copy.keep("late"), lambda: copy.finish("OK")):
        with pytest.raises(TaskRevoked, match="somebody else"):
            late()
        context.staged.append(om.jobs.staged(context.header.id, 1, kept=True))
        copy._view = context.staged[-1]
    assert context.effects() == []
    if state == "FAILURE":
        assert message(om, copy.name) == "it was stopped in time"
    else:
        assert om.jobs.list("results/*") == before == []


def test_two_runs_that_begin_in_one_microsecond_have_two_names(
    om: Omega, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [dt.datetime(2026, 11, 20, tzinfo=dt.UTC)] * 2 + [dt.datetime(2026, 11, 21, tzinfo=dt.UTC)]

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return moments.pop(0)

    monkeypatch.setattr(copies, "datetime", Clock)
    contexts = [context_of(om, Told(), tmp_path) for _ in range(2)]
    both = [ExecutedCopy(context, notebook("1"), {}) for context in contexts]
    for copy, context in zip(both, contexts, strict=True):
        copy.finish("OK")
        end(om, context, "SUCCESS")
    days = ["2026-11-20", "2026-11-21"]
    assert om.jobs.list("results/*") == [f"results/n_{day} 00:00:00.000000.ipynb" for day in days]
    assert [om.jobs.metadata(copy.name).attributes["task_id"] for copy in both] == [
        context.header.id for context in contexts
    ]


def test_a_run_is_not_spent_on_storing_its_copy(om: Omega, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.2
        return now

    monkeypatch.setattr("omruntime.worker.copies.time.monotonic", clock)
    told = Told()
    copy = ExecutedCopy(context_of(om, told, tmp_path), notebook("1"), {})
    for number in range(100):
        copy.change()
        copy.keep_when_cheap(f"at {number}")
    # Each costs 0.2 s of a clock that has come to some 25 s: half a second, and a tenth of that.
    assert 10 <= len(told.names) <= 20
    for _ in range(3):
        copy.keep_when_cheap("nothing has changed")
    assert len(told.names) <= 20


def test_no_more_than_two_copies_of_a_run_are_on_the_disk(om: Omega, tmp_path: Path) -> None:
    copy = ExecutedCopy(context_of(om, Told(), tmp_path), notebook("1"), {})
    for number in range(5):
        copy.keep(f"at {number}")
        assert len(list(om.store.blobs("o-"))) == min(number + 1, 2)
    copy.keep("at 4")
    copy.keep("at 4")
    assert len(list(om.store.blobs("o-"))) == 1


def test_outputs_that_the_format_does_not_allow_are_left_out(om: Omega, tmp_path: Path) -> None:
    context = context_of(om, Told(), tmp_path)
    node = notebook("1")
    copy = ExecutedCopy(context, node, {})
    good = nbformat.v4.new_output("stream", name="stdout", text="good")
    node.cells[0].outputs = [good, nbformat.from_dict({"output_type": "hologram", "data": 5})]
    meta = copy.finish("OK")
    end(om, context, "SUCCESS")
    texts = [output.text for output in om.jobs.get(meta.name).cells[0].outputs]
    assert texts[0] == "good"
    assert "hologram" in texts[1]


def test_parameters_are_told_as_a_notebook_can_tell_them(om: Omega, tmp_path: Path) -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    given = {
        "plain": [1, 2.5, None, True, {"a": "b"}],
        "day": dt.date(2026, 1, 2),
        "nan": float("nan"),
        "huge": 2**70,
        "long": "x" * 5000,
        "many": list(range(500)),
        "rude": Rude(),
    }
    context = context_of(om, Told(), tmp_path)
    copy = ExecutedCopy(context, notebook("1"), given)
    meta = copy.finish("OK")
    end(om, context, "SUCCESS")
    told = om.jobs.get(meta.name).metadata["omruntime"]["parameters"]
    assert told["plain"] == given["plain"]
    assert (told["day"], told["nan"], told["huge"]) == ("datetime.date(2026, 1, 2)", "nan", str(2**70))
    assert max(len(told["long"]), len(told["many"])) < 1100
    assert told["rude"] == "<Rude, whose repr raises RuntimeError>"
