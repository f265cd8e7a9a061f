"""What a task stores becomes current only when the task has won."""

from __future__ import annotations

import pandas as pd
import pytest

from omruntime.abc import Store
from omruntime.errors import MetadataConflict, ObjectNotFound
from omruntime.store import ObjectStore, discard_group, settle_group
from tests.store.conftest import Shelves


class Outcomes:
    """Which attempts have won."""

    def __init__(self) -> None:
        self.won: set[tuple[str, int]] = set()
        self.ended: set[tuple[str, int]] = set()

    def __call__(self, task: str, attempt: int, any_end: bool) -> bool:
        return (task, attempt) in (self.won | self.ended if any_end else self.won)


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


@pytest.fixture
def models(shelf: Shelves, outcomes: Outcomes) -> ObjectStore:
    return shelf("models/", committed=outcomes)


@pytest.fixture
def datasets(shelf: Shelves, outcomes: Outcomes) -> ObjectStore:
    return shelf("data/", committed=outcomes)


def settle(store: Store, *views: ObjectStore) -> None:
    store.commit([settle_group(view.effects) for view in views])


def test_a_staged_put_is_seen_by_its_own_view_alone(models: ObjectStore) -> None:
    models.put("old", "m")
    view = models.staged("task", 1)
    view.put("new", "m")
    view.put("only here", "n")
    assert (view.get("m"), view.get("m^"), view.get("n"), view.list()) == ("new", "old", "only here", ["m", "n"])
    for other in (models, models.staged("task", 2), models.staged("other", 1)):
        assert (other.get("m"), other.list(), len(other.revisions("m"))) == ("old", ["m"], 1)
        assert not other.exists("n")
    with pytest.raises(ObjectNotFound):
        models.get("n")


def test_it_is_current_once_the_attempt_has_won_settled_or_not(
    models: ObjectStore, outcomes: Outcomes, store: Store
) -> None:
    models.put("old", "m")
    view = models.staged("task", 1)
    meta = view.put("new", "m", tag="t")
    outcomes.won.add(("task", 1))
    assert (models.get("m"), models.get("m@t"), models.get("m^")) == ("new", "new", "old")
    version = models.version("m")
    settle(store, view)
    outcomes.won.clear()
    assert (models.get("m"), models.get("m^"), models.version("m")) == ("new", "old", version)
    meta.bind(models.save)
    meta.attributes["seen"] = True
    meta.save()
    assert models.metadata("m").attributes == {"seen": True}
    assert len(models.revisions("m")) == 2


def test_a_put_whose_revision_was_settled_by_another_meanwhile_is_not_lost(
    models: ObjectStore, outcomes: Outcomes, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.put("old", "m")
    first, second = models.staged("first", 1), models.staged("second", 1)
    writing = second._shelf.writing
    owner = writing._owner

    def settled_meanwhile() -> dict[str, object]:
        # The second has looked which revisions there are, and has inserted none.
        monkeypatch.undo()
        first.put("one", "m")
        outcomes.won.add(("first", 1))
        settle(store, first)
        return owner()

    monkeypatch.setattr(writing, "_owner", settled_meanwhile)
    second.put("two", "m")
    outcomes.won.add(("second", 1))
    settle(store, second)
    assert [models.get(name) for name in ("m", "m^", "m^^")] == ["two", "one", "old"]


def test_settling_twice_or_after_more_puts_does_no_harm(datasets: ObjectStore, store: Store) -> None:
    view = datasets.staged("task", 1)
    view.put("staged", "d")
    settle(store, view)
    datasets.put("later", "d")
    settle(store, view)
    assert datasets.get("d") == "later"
    assert datasets.list() == ["d"]


def test_what_an_attempt_that_lost_has_staged_goes(models: ObjectStore, store: Store) -> None:
    view = models.staged("task", 1)
    view.put("lost", "m")
    store.commit([discard_group(view.effects)])
    assert view.list() == models.list() == []


def test_a_fit_that_ran_twice_leaves_one_version_and_two_fits_leave_two(models: ObjectStore, store: Store) -> None:
    models.put("base", "m")
    first, again, other = models.staged("a", 1), models.staged("a", 2), models.staged("b", 1)
    for view, value in ((first, "a1"), (again, "a2"), (other, "b1")):
        view.put(value, "m")
    settle(store, other, again)
    store.commit([discard_group(first.effects)])
    assert [models.get(f"m{'^' * back}") for back in range(3)] == ["b1", "a2", "base"]
    assert len(models.revisions("m")) == 3


def test_a_settled_dataset_replaces_what_was_there(datasets: ObjectStore, store: Store) -> None:
    datasets.put(pd.DataFrame({"x": [1]}), "d")
    view = datasets.staged("task", 1)
    view.put(pd.DataFrame({"x": [2]}), "d")
    assert len(view.effects) == 1
    assert len(view.effects[0].replaces) == 1
    settle(store, view)
    assert list(datasets.get("d")["x"]) == [2]


def test_a_save_in_a_view_is_staged_too(models: ObjectStore, store: Store) -> None:
    models.put("base", "m")
    view = models.staged("task", 1)
    meta = view.put("new", "m")
    meta.attributes["data"] = "iris"
    meta.save()
    assert len(view.effects) == 1
    assert models.metadata("m").attributes == {}
    settle(store, view)
    assert models.metadata("m").attributes == {"data": "iris"}
    assert len(models.revisions("m")) == 2


def test_a_save_of_what_others_see_in_a_view(models: ObjectStore, store: Store) -> None:
    models.put("base", "m")
    view = models.staged("task", 1)
    meta = view.metadata("m")
    meta.attributes["a"] = 1
    meta.save()
    assert models.metadata("m").attributes == {}
    settle(store, view)
    assert models.metadata("m").attributes == {"a": 1}
    assert len(models.revisions("m")) == 1


def test_staged_revisions_of_others_are_no_conflict(models: ObjectStore) -> None:
    meta = models.put("base", "m")
    models.staged("task", 1).put("new", "m")
    meta.attributes["a"] = 1
    meta.save()
    assert models.metadata("m").attributes == {"a": 1}
    models.put("newer", "m")
    with pytest.raises(MetadataConflict):
        meta.save()


def test_many_staged_revisions_do_not_hide_the_current_one(models: ObjectStore) -> None:
    models.put("base", "m")
    for number in range(30):
        models.staged(f"task{number}", 1).put(number, "m")
    assert models.get("m") == "base"
    models.put("next", "m")
    assert (models.get("m"), models.get("m^")) == ("next", "base")


def test_appending_in_a_view_is_refused(datasets: ObjectStore) -> None:
    with pytest.raises(TypeError, match="cannot append before it has won"):
        datasets.staged("task", 1).put([1], "d", append=True)


def test_a_model_that_was_dropped_and_put_again_has_no_version_from_before(models: ObjectStore, store: Store) -> None:
    models.put("old", "m")
    view = models.staged("task", 1)
    view.put("late", "m")
    models.drop("m")
    models.put("new", "m")
    settle(store, view)
    assert models.get("m") == "new"
    assert len(models.revisions("m")) == 1


def test_dropping_what_a_task_is_about_to_replace(datasets: ObjectStore, store: Store) -> None:
    datasets.put(1, "d")
    view = datasets.staged("task", 1)
    view.put(2, "d")
    datasets.drop("d")
    settle(store, view)
    assert not datasets.exists("d")
    datasets.put(3, "d")
    assert datasets.get("d") == 3


def test_what_is_kept_counts_with_any_end_and_the_rest_with_success(
    datasets: ObjectStore, outcomes: Outcomes
) -> None:
    datasets.put("old", "kept")
    datasets.put("old", "won")
    datasets.staged("task", 1, kept=True).put("new", "kept")
    datasets.staged("task", 1).put("new", "won")
    assert [datasets.get(name) for name in ("kept", "won")] == ["old", "old"]
    outcomes.ended.add(("task", 1))
    assert [datasets.get(name) for name in ("kept", "won")] == ["new", "old"]
    outcomes.won.add(("task", 1))
    assert [datasets.get(name) for name in ("kept", "won")] == ["new", "new"]


def test_an_attempt_that_puts_twice_leaves_one_effect_and_of_a_model_each_version(
    datasets: ObjectStore, models: ObjectStore, outcomes: Outcomes, store: Store
) -> None:
    views = datasets.staged("task", 1), models.staged("task", 1)
    for view in views:
        for number in range(3):
            view.put(complex(number), "m")
    assert [len(view.effects) for view in views] == [1, 3]
    settle(store, *views)
    assert (datasets.get("m"), len(models.revisions("m"))) == (complex(2), 3)


def test_the_runs_of_a_notebook_are_told_by_its_copies(shelf: Shelves, outcomes: Outcomes, store: Store) -> None:
    jobs = shelf("jobs/", committed=outcomes)
    meta = jobs.create("1", "n")
    assert jobs.metadata("n").attributes["job_runs"] == []

    def copy(name: str, source: str, when: int, staged: bool = False) -> None:
        view = jobs.staged("task", 1, kept=True) if staged else jobs
        run = {"status": "OK", "ts": when, "message": ""}
        view.create("1", f"results/{name}", attributes={"source_job": source, "task_id": "t", "job_run": run})

    copy("n_2", "n", 2)
    copy("n.ipynb_1", "n.ipynb", 1)
    copy("n_x_3", "n_x", 3)
    jobs.create("1", "results/n_by_hand")
    copy("n_4", "n", 4, staged=True)
    expected = ["results/n.ipynb_1.ipynb", "results/n_2.ipynb"]
    assert [run["results"] for run in jobs.metadata("n").attributes["job_runs"]] == expected
    outcomes.ended.add(("task", 1))
    read = jobs.metadata("n")
    assert [run["results"] for run in read.attributes["job_runs"]] == [*expected, "results/n_4.ipynb"]
    read.attributes["own"] = 1
    read.save()
    assert jobs.list("n", raw=True)[0].attributes == {**meta.attributes, "own": 1}
