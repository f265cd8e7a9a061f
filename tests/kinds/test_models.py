"""Models: estimators and anything else that can be pickled."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from omruntime.errors import SerializationError
from omruntime.store import ObjectStore

X = np.random.default_rng(0).random((60, 3))
Y = (X[:, 0] > 0.5).astype(int)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        RandomForestClassifier(5, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=["linear", "forest", "pipeline"],
)
def test_a_fitted_estimator_predicts_the_same(model: object, models: ObjectStore) -> None:
    model.fit(X, Y)  # type: ignore[attr-defined]
    assert models.put(model, "m").kind == "sklearn.estimator"
    np.testing.assert_array_equal(models.get("m").predict(X), model.predict(X))  # type: ignore[attr-defined]


def test_other_models_are_pickled(models: ObjectStore) -> None:
    assert models.put({"weights": [1, 2]}, "m").kind == "python.pickle"
    assert models.get("m") == {"weights": [1, 2]}
    assert models.put(LogisticRegression, "class").kind == "python.pickle"


def test_an_object_of_main_goes_by_value(models: ObjectStore, store_url: str) -> None:
    program = f"""
from omruntime.auth import Auth
from omruntime.store import ObjectStore, open_store
class Mine:
    def fit(self, X, y=None): return self
    def get_params(self, deep=True): return {{}}
    def predict(self, X): return [helper(x) for x in X]
def helper(x): return x + 1
store = open_store({store_url!r})
models = ObjectStore(store, "models/", bucket="tests", auth=Auth("tester", "a key for tests that protects nothing"))
models.put(Mine(), "mine")
store.close()
"""
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
    assert models.metadata("mine").kind == "sklearn.estimator"
    assert models.get("mine").predict([1, 2]) == [2, 3]


def test_a_model_whose_module_is_gone_says_so(models: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("omr_gone")
    exec("class Model: pass", module.__dict__)
    module.Model.__module__ = "omr_gone"
    monkeypatch.setitem(sys.modules, "omr_gone", module)
    module.__spec__ = types.SimpleNamespace(name="omr_gone")  # type: ignore[assignment]
    models.put(module.Model(), "m")
    monkeypatch.delitem(sys.modules, "omr_gone")
    with pytest.raises(SerializationError, match="omr_gone"):
        models.get("m")
