"""Models: every action gives what the estimator gives locally."""

from __future__ import annotations

from typing import Any

from omruntime import Metadata, virtualobj
from omruntime.abc import Capability
from omruntime_conformance.context import Context
from omruntime_conformance.estimators import Chunked, fingerprint
from omruntime_conformance.libraries import np, pd, sklearn
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import note


def _iris(ctx: Context) -> pd.DataFrame:
    """Store the flowers as ``iris``, with the class in column ``y``."""
    frame: pd.DataFrame = sklearn.datasets.load_iris(as_frame=True).frame.rename(columns={"target": "y"})
    frame = frame.sample(frac=1.0, random_state=7).reset_index(drop=True)
    frame.columns = [name.replace(" (cm)", "").replace(" ", "_") for name in frame.columns]
    ctx.om.datasets.put(frame, "iris")
    return frame


@rule("MOD-001", independent=True)
def same_as_locally(ctx: Context) -> None:
    """fit, then predict, gives exactly what the estimator gives locally, for data by name, by selector, as DataFrame, Series, ndarray and list.

    Swapping where a model runs must not change a single number, a column name or a warning.
    """  # noqa: E501
    om, frame = ctx.om, _iris(ctx)
    x, y = frame.drop(columns="y"), frame["y"]
    om.datasets.put(x, "x")
    om.datasets.put(y, "y")
    data = om.datasets
    named = {
        "selector": ("iris[^y]", "iris[y]"),
        "name": ("x", "y"),
        "metadata": (data.metadata("x"), data.metadata("y")),
    }
    given = {"frame": (x, y), "array": (x.to_numpy(), y.to_numpy()), "list": (x.to_numpy().tolist(), y.tolist())}
    # The memory layout of a frame can change the last bit of a sum, so this one is loaded from the store too.
    forms = {name: (*pair, data.get("x"), data.get("y")) for name, pair in named.items()}
    forms |= {name: (*pair, *pair) for name, pair in given.items()}
    estimators = (
        sklearn.tree.DecisionTreeClassifier(random_state=1),
        sklearn.linear_model.SGDClassifier(random_state=1),
        sklearn.naive_bayes.GaussianNB(),
    )
    for form, (given_x, given_y, local_x, local_y) in forms.items():
        for estimator in estimators:
            local = sklearn.base.clone(estimator).fit(local_x, local_y)
            name = f"{type(estimator).__name__}-{form}"
            om.models.put(sklearn.base.clone(estimator), name)
            model = om.runtime.model(name)
            fitted = model.fit(given_x, given_y)
            assert isinstance(ctx.get(fitted), Metadata)
            _seen_as_locally(om.models.get(name), local, fitted.logs())
            for method in ("predict", "predict_proba", "decision_function"):
                if hasattr(local, method):
                    remote = ctx.get(getattr(model, method)(given_x))
                    np.testing.assert_array_equal(remote, getattr(local, method)(local_x), strict=True)
            assert ctx.get(model.score(given_x, given_y)) == local.score(local_x, local_y)
        _same_transforms(ctx, form, given_x, local_x)


def _seen_as_locally(fitted: Any, local: Any, logs: str) -> None:
    """The estimator has been given what it would be locally: names of columns, and a Y that it does not warn of."""
    names, expected = (getattr(each, "feature_names_in_", np.array([])).tolist() for each in (fitted, local))
    assert names == expected, "the estimator was given other column names than locally"
    assert "Warning" not in logs, f"the estimator does not like what it was given:\n{logs}"


def _same_transforms(ctx: Context, form: str, given: Any, local: Any) -> None:
    expected = sklearn.preprocessing.StandardScaler().fit_transform(local)
    name = f"scaler-{form}"
    ctx.om.models.put(sklearn.preprocessing.StandardScaler(), name)
    model = ctx.om.runtime.model(name)
    np.testing.assert_array_equal(ctx.get(model.fit_transform(given)), expected, strict=True)
    ctx.get(model.fit(given))
    np.testing.assert_array_equal(ctx.get(model.transform(given)), expected, strict=True)


@rule("MOD-004", independent=True)
def unfitted_raises_its_own_error(ctx: Context) -> None:
    """predict on an unfitted estimator raises the estimator's own error.

    Users know scikit-learn's errors and search the web for them.
    """  # noqa: D403
    frame = _iris(ctx)
    ctx.om.models.put(sklearn.naive_bayes.GaussianNB(), "unfitted")
    handle = ctx.om.runtime.model("unfitted").predict("iris[^y]")
    assert "GaussianNB" in str(ctx.fails(handle, sklearn.exceptions.NotFittedError))
    assert handle.status == "FAILURE"
    ctx.fails(ctx.om.runtime.model("unfitted").predict(frame.drop(columns="y")), sklearn.exceptions.NotFittedError)


@rule("MOD-005", rests_on=("MOD-001",), independent=True)
def values_stored_as_datasets(ctx: Context) -> None:
    """rName stores the value as a dataset and returns its Metadata.

    Predictions on large data stay in the store, where the next step finds them by name.
    """  # noqa: D403
    om, frame = ctx.om, _iris(ctx)
    x, y = frame.drop(columns="y"), frame["y"]
    local = sklearn.naive_bayes.GaussianNB().fit(x, y)
    om.models.put(local, "nb")
    for method in ("predict", "predict_proba"):
        name = f"stored/{method}"
        meta = ctx.get(getattr(om.runtime.model("nb"), method)("iris[^y]", rName=name))
        assert isinstance(meta, Metadata)
        assert meta.name == name
        assert om.datasets.exists(name)
        np.testing.assert_array_equal(np.asarray(om.datasets.get(name)).squeeze(), getattr(local, method)(x))
    # A second run under the same name replaces the rows and adds none.
    ctx.get(om.runtime.model("nb").predict("iris[^y]", rName="stored/predict"))
    assert len(om.datasets.get("stored/predict")) == len(x)


@rule("MOD-006", rests_on=("MOD-001",), independent=True)
def chunks_in_order(ctx: Context) -> None:
    """Chunked data (`d#`) gives the predictions of all chunks in order, and partial_fit sees every chunk once.

    Data larger than memory is the reason for chunks; a chunk that is lost or comes twice shows in no error, only in
    wrong numbers.
    """
    om, frame = ctx.om, _iris(ctx)
    x, y = frame.drop(columns="y"), frame["y"]
    sizes = [40, 40, 40, 30]
    starts = [0, 40, 80, 120]
    om.models.put(Chunked(str(ctx.log)), "chunked")
    model = om.runtime.model("chunked")
    chunked_x, chunked_y = "iris[^y]#iterchunks:chunksize=40", "iris[y]#iterchunks:chunksize=40"
    ctx.get(model.partial_fit(chunked_x, chunked_y))
    expected = [
        (size, fingerprint(x.iloc[at : at + size]), fingerprint(y.iloc[at : at + size]))
        for at, size in zip(starts, sizes, strict=True)
    ]
    assert [tuple(entry.data["chunk"]) for entry in ctx.log.entries("chunk", "partial_fit")] == expected
    assert om.models.get("chunked").chunks == expected

    predicted = ctx.get(model.predict(chunked_x))
    np.testing.assert_array_equal(predicted, x.to_numpy().sum(axis=1))
    assert [entry.data["rows"] for entry in ctx.log.entries("chunk", "predict")] == sizes
    np.testing.assert_array_equal(ctx.get(model.predict("iris[^y]#")), x.to_numpy().sum(axis=1))


@rule("MOD-007", independent=True)
def keyword_arguments_arrive(ctx: Context) -> None:
    """Keyword arguments reach the estimator's method.

    sample_weight and return_std are part of the call. A keyword that is dropped gives a result that is wrong and
    looks right.
    """
    om, frame = ctx.om, _iris(ctx)
    x, y = frame.drop(columns="y"), frame["y"]
    weights = np.where(y == 1, 50.0, 0.01)
    stump = sklearn.tree.DecisionTreeClassifier(max_depth=1, random_state=1)
    local = sklearn.base.clone(stump).fit(x, y, sample_weight=weights)
    plain = sklearn.base.clone(stump).fit(x, y)
    assert not np.array_equal(local.predict_proba(x), plain.predict_proba(x)), "these weights would prove nothing"
    om.models.put(sklearn.base.clone(stump), "stump")
    model = om.runtime.model("stump")
    ctx.get(model.fit("iris[^y]", "iris[y]", sample_weight=weights))
    np.testing.assert_array_equal(ctx.get(model.predict_proba("iris[^y]")), local.predict_proba(x), strict=True)
    score = ctx.get(model.score("iris[^y]", "iris[y]", sample_weight=weights))
    assert score == local.score(x, y, sample_weight=weights)
    unknown = model.predict("iris[^y]", no_such_option=1)
    assert "no_such_option" in str(ctx.fails(unknown, TypeError))


@rule("MOD-008", rests_on=("MOD-001",))
def gridsearch_is_the_local_one(ctx: Context) -> None:
    """gridsearch stores the fitted search, its best parameters are those of a local search with the same seed, and candidates run in parallel.

    A search is what people buy a cluster for: it has to find what a local one finds, and to use all workers.
    """  # noqa: D403, E501
    om, _ = ctx.om, _iris(ctx)
    x, y = om.datasets.get("iris[^y]"), om.datasets.get("iris[y]", squeeze=True)
    tree = sklearn.tree.DecisionTreeClassifier(random_state=3)
    parameters = {"max_depth": [1, 2, 4], "criterion": ["gini", "entropy"]}
    om.models.put(tree, "tree")
    for number, kw in enumerate(({}, {"cv": 3, "scoring": "f1_macro"}), 1):
        local = sklearn.model_selection.GridSearchCV(tree, parameters, **{"cv": 5, **kw}).fit(x, y)
        meta = ctx.get(om.runtime.model("tree").gridsearch("iris[^y]", "iris[y]", parameters=parameters, **kw))
        assert isinstance(meta, Metadata)
        assert meta.name == "tree"
        assert len(meta.attributes["gridsearch"]) == number
        assert om.models.metadata("tree").attributes["gridsearch"] == meta.attributes["gridsearch"]
        name = meta.attributes["gridsearch"][-1]["gsModel"]
        stored = om.models.get(name)
        assert stored.best_params_ == local.best_params_
        assert stored.best_score_ == local.best_score_
        np.testing.assert_array_equal(stored.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"])
        np.testing.assert_array_equal(ctx.get(om.runtime.model(name).predict("iris[^y]")), local.predict(x))
    assert len(om.models.revisions("tree")) == 1, "a search leaves the model as it is"
    assert not hasattr(om.models.get("tree"), "tree_")
    _data_is_taken_too(ctx, x.to_numpy(), y.to_numpy(), parameters)
    if Capability.NESTED_WAIT in ctx.capabilities:
        _candidates_run_in_parallel(ctx)


def _data_is_taken_too(ctx: Context, x: Any, y: Any, parameters: dict[str, Any]) -> None:
    tree = sklearn.tree.DecisionTreeClassifier(random_state=3)
    local = sklearn.model_selection.GridSearchCV(tree, parameters, cv=4).fit(x, y)
    meta = ctx.get(ctx.om.runtime.model("tree").gridsearch(x, y, parameters=parameters, cv=4))
    assert ctx.om.models.get(meta.attributes["gridsearch"][-1]["gsModel"]).best_params_ == local.best_params_


def _candidates_run_in_parallel(ctx: Context) -> None:
    from omruntime_conformance.searched import Searched

    gate, slots = ctx.gate(), ctx.slots()
    ctx.om.models.put(Searched(str(ctx.log), str(gate)), "searched")
    x = np.arange(60, dtype=float).reshape(30, 2)
    thresholds = [30.0 + 2 * number for number in range(slots + 1)]
    handle = ctx.om.runtime.model("searched").gridsearch(
        x, (x[:, 0] >= 30).astype(int), parameters={"threshold": thresholds}, cv=2
    )
    # None of them gets any further before the gate is opened: so many have begun at the same time.
    started = ctx.log.wait("start", "candidate", slots)
    assert len({entry.pid for entry in started}) == slots
    gate.open()
    search = ctx.om.models.get(ctx.get(handle).attributes["gridsearch"][-1]["gsModel"])
    assert search.best_params_ == {"threshold": 30.0}
    fits = [entry for entry in ctx.log.starts("candidate") if entry.data["rows"] == 15]
    assert sorted(entry.data["threshold"] for entry in fits) == sorted(thresholds * 2)


@virtualobj
def _witness(
    data: Any = None, method: str = "", meta: Any = None, store: Any = None, log: str = "", extra: Any = None
) -> Any:
    """Note what came in, and return its shape."""
    parts = list(data) if isinstance(data, tuple | list) and method in ("fit", "score", "reduce") else [data]
    shapes = [list(np.shape(part)) for part in parts]
    note(log, "start", method, shapes=shapes, meta=meta.name, tuple=isinstance(data, tuple), extra=extra)
    return {"method": method, "shapes": shapes, "stored": store is not None and store.exists(meta.name)}


@rule("MOD-009", independent=True)
def virtualobj_models(ctx: Context) -> None:
    """A @virtualobj model gets data, method and meta for predict, fit, score, reduce.

    Functions as models are how everything that is no estimator gets in; they rely on being told what they are called
    for.
    """
    om, _ = ctx.om, _iris(ctx)
    om.models.put(_witness, "witness")
    model = om.runtime.model("witness")
    log = str(ctx.log)
    seen = ctx.get(model.predict("iris[^y]", log=log, extra=1))
    assert seen == {"method": "predict", "shapes": [[150, 4]], "stored": True}
    ctx.get(model.fit("iris[^y]", "iris[y]", log=log, extra=2))
    assert ctx.get(model.score("iris[^y]", "iris[y]", log=log))["shapes"] == [[150, 4], [150]]
    ctx.get(model.reduce([[1.0], [2.0], [3.0]], log=log))
    noted = {entry.name: entry.data for entry in ctx.log.starts()}
    assert list(noted) == ["predict", "fit", "score", "reduce"]
    assert {data["meta"] for data in noted.values()} == {"witness"}
    assert noted["fit"]["shapes"] == [[150, 4], [150]]
    assert noted["fit"]["tuple"]
    assert noted["fit"]["extra"] == 2
    assert noted["reduce"]["shapes"] == [[1], [1], [1]]
