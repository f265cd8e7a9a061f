"""A search sends its candidates to other workers, its data once, and leaves one search whatever dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omruntime_conformance.searched import Searched
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from omruntime import Omega, OmegaRuntimeLocal
from tests.client.test_result import RuntimeWithoutWaiting
from tests.worker.gates import alive, eventually

X = np.arange(80_000, dtype=float).reshape(20_000, 4)
Y = (X[:, 0] >= 40_000).astype(int)
GRID = {"threshold": [10_000.0, 40_000.0, 70_000.0]}


class Log:
    """What the estimators of the suite note."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.gate = place / "gate"

    @property
    def pids(self) -> list[int]:
        import json

        try:
            return [json.loads(line)["pid"] for line in (self.place / "log.jsonl").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def wait(self, count: int) -> list[int]:
        eventually(lambda: len(self.pids) >= count, f"{count} candidates that have begun")
        return self.pids


@pytest.fixture
def log(tmp_path: Path) -> Log:
    (tmp_path / "log").mkdir()
    return Log(tmp_path / "log")


def searching(om: Omega, log: Log, **kw: Any) -> Any:
    om.models.put(Searched(str(log.place), str(log.gate)), "searched")
    return om.runtime.model("searched").gridsearch(X, Y, parameters=GRID, cv=2, **kw)


def searches(om: Omega) -> list[str]:
    return [name for name in om.models.list() if name.endswith(".gs")]


def blobs(om: Omega) -> list[int]:
    """The sizes of what tasks keep in the store."""
    return [len(om.store.read_blob(info.name)) for info in om.store.blobs("t-")]


def test_the_data_is_stored_once_and_gone_with_the_search(om: Omega, log: Log) -> None:
    om.runtime.scale(2)
    handle = searching(om, log)
    log.wait(2)
    # The arguments of the search are the only other place where X is.
    assert sum(size >= X.nbytes for size in blobs(om)) <= 2
    log.gate.touch()
    meta = handle.get(60)
    assert om.models.get(meta.attributes["gridsearch"][-1]["gsModel"]).best_params_ == {"threshold": 40_000.0}
    eventually(lambda: blobs(om) == [], "that nothing of the search's own is left")


def test_a_candidate_whose_worker_is_killed_is_tried_again(om: Omega, log: Log) -> None:
    handle = searching(om, log)
    os.kill(log.wait(1)[0], signal.SIGKILL)
    log.wait(2)
    log.gate.touch()
    assert handle.get(60).name == "searched"
    assert len(searches(om)) == 1


@pytest.mark.thorough
def test_a_search_whose_worker_is_killed_leaves_one(om: Omega, log: Log) -> None:
    (worker,) = om.runtime.workers()
    handle = searching(om, log)
    log.wait(1)
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: om.session.ledger.state(handle.id).attempt == 2, "the next attempt")
    log.gate.touch()
    meta = handle.get(60)
    assert [each["gsModel"] for each in meta.attributes["gridsearch"]] == searches(om)
    assert len(searches(om)) == 1
    assert om.models.metadata("searched").attributes["gridsearch"] == meta.attributes["gridsearch"]


def test_where_tasks_cannot_wait_candidates_are_tried_one_after_the_other(om: Omega, log: Log) -> None:
    om.runtime = RuntimeWithoutWaiting(workers=1)
    log.gate.touch()
    meta = searching(om, log).get(60)
    assert set(log.pids) == {om.runtime.workers()[0].pid}
    assert searches(om) == [meta.attributes["gridsearch"][0]["gsModel"]]


def test_what_a_candidate_raises_ends_the_search_and_the_others(om: Omega, log: Log) -> None:
    om.models.put(LogisticRegression(), "logistic")
    broken = {"C": [1.0, -1.0, 2.0, 3.0]}
    with pytest.raises(ValueError, match="'C' parameter"):
        om.runtime.model("logistic").gridsearch(X[:50], Y[::400], parameters=broken, error_score="raise").get(60)
    assert searches(om) == []
    assert "gridsearch" not in om.models.metadata("logistic").attributes
    eventually(lambda: om.runtime.status()["queued"] == {}, "the end of the candidates that nobody needs")
    assert om.runtime.ping()["message"] == "ping return message"


def test_keywords_go_to_the_search(om: Omega) -> None:
    om.models.put(LogisticRegression(), "logistic")
    parameters: list[dict[str, Any]] = [{"C": [0.1, 1.0]}, {"C": [10.0], "fit_intercept": [False]}]
    x, y = X[::200] / 1000, Y[::200]
    kw: dict[str, Any] = {
        "cv": 3,
        "scoring": ["accuracy", "f1"],
        "refit": "f1",
        "return_train_score": True,
    }
    meta = om.runtime.model("logistic").gridsearch(x, y, parameters=parameters, n_jobs=1, **kw).get(60)
    search = om.models.get(meta.attributes["gridsearch"][-1]["gsModel"])
    local = GridSearchCV(LogisticRegression(), parameters, **kw).fit(x, y)
    assert search.best_params_ == local.best_params_
    assert np.array_equal(search.cv_results_["mean_train_f1"], local.cv_results_["mean_train_f1"])


def test_it_is_a_step_like_any_other(om: Omega) -> None:
    om.models.put(LogisticRegression(), "logistic")
    om.datasets.put(X[::200] / 1000, "x")
    with om.runtime.parallel() as crt:
        crt.model("logistic").gridsearch("x", Y[::200], parameters={"C": [0.1, 1.0]}, cv=2)
        crt.model("logistic").gridsearch("x", Y[::200], parameters={"C": [10.0]}, cv=2)
        metas = crt.run().get(60)
    names = {each.attributes["gridsearch"][-1]["gsModel"] for each in metas}
    assert sorted(names) == searches(om)
    assert {each.attributes["gridsearch"][-1]["Xname"] for each in metas} == {"x"}
    assert {each.attributes["gridsearch"][-1]["Yname"] for each in metas} == {"<ndarray>"}


@pytest.mark.shared_workers
@pytest.mark.parametrize("parameters", [None, [], "C", [1], {"C"}])
def test_parameters_are_said(shared: Omega, parameters: Any) -> None:
    shared.models.put(LogisticRegression(), "logistic")
    with pytest.raises(TypeError, match="say which values to try"):
        shared.runtime.model("logistic").gridsearch(X, Y, parameters=parameters)


def test_a_task_cancels_what_it_has_submitted(store_url: str, tmp_path: Path) -> None:
    from omruntime import virtualobj
    from tests.worker.conftest import deploy
    from tests.worker.gates import Gate, value

    @virtualobj
    def cancels(data: Any = None, om: Any = None, started: str = "", goes_on: str = "") -> Any:
        child = om.runtime.script("held").run(started=started, goes_on=goes_on)
        with open(started) as pipe:
            pid = int(pipe.read())
        return [pid, child.cancel(), child.status]

    gate = Gate(tmp_path)
    with deploy(Omega(store_url, OmegaRuntimeLocal(workers=2))) as om:
        om.scripts.put(cancels, "cancels")
        answer: Any = value(om.runtime.script("cancels").run(**gate.arguments))
        pid, cancelled, status = answer
        assert (cancelled, status) == (True, "REVOKED")
        eventually(lambda: not alive(pid), "the end of the cancelled task")
