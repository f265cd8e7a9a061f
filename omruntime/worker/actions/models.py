"""Actions on models: any estimator with the scikit-learn protocol, and ``@virtualobj`` functions.

A fit-like action returns the `Metadata` of the version that it stored, a predict-like one its value or the
`Metadata` of the dataset that ``rName`` names. What an action stores becomes current with the winning end of its
task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omruntime.store import Metadata
from omruntime.virtual import call_virtualobj, is_virtualobj, names
from omruntime.worker.cache import ModelCache
from omruntime.worker.context import Action, TaskContext
from omruntime.worker.data import concatenated, is_chunked, load, pairs

__all__ = ["MODEL_ACTIONS", "describe", "whole"]

_cache = ModelCache()


def _for_reading(context: TaskContext) -> Any:
    models, name = context.om.models, context.header.name
    return _cache.get(context.key, name, models.peek(name).record, models)


def _virtual(context: TaskContext, model: Any, method: str, data: Any, keywords: dict[str, Any]) -> Any:
    standard = {"data": data, "method": method, "store": context.om.models, "tracking": None}
    if names(model, "meta"):
        standard["meta"] = context.om.models.metadata(context.header.name)
    return call_virtualobj(model, **{**keywords, **standard})


def describe(argument: Any) -> str | None:
    """Return how a dataset is recorded with the model that was fitted on it: its name, or the type of the data."""
    if argument is None:
        return None
    return str(argument[1]) if argument[0] == "name" else f"<{type(argument[1]).__name__}>"


def _store_version(context: TaskContext, model: Any, request: Any) -> Metadata:
    dataset = {"Xname": describe(request["X"]), "Yname": describe(request["Y"])}
    name = context.header.name
    return context.stage(context.om.models).put(model, name, attributes={"dataset": dataset})


def whole(context: TaskContext, request: Any) -> tuple[Any, Any]:
    """Return X and Y in one piece, also where they are named in chunks."""
    datasets = context.om.datasets
    if not is_chunked(request["X"]):
        return load(request["X"], datasets), load(request["Y"], datasets, squeeze=True)
    every = list(pairs(request["X"], request["Y"], datasets))
    y = concatenated([y for _, y in every]) if request["Y"] is not None else None
    return concatenated([x for x, _ in every]), y


def _arguments(x: Any, y: Any) -> tuple[Any, ...]:
    return (x,) if y is None else (x, y)


def fit(context: TaskContext, request: Any) -> Metadata:
    """Fit the model on all data and store it as a new version."""
    model = context.om.models.get(context.header.name)
    x, y = whole(context, request)
    if is_virtualobj(model):
        value = _virtual(context, model, "fit", (x, y), request["kw"])
        return _store_version(context, value if is_virtualobj(value) else model, request)
    model.fit(*_arguments(x, y), **request["kw"])
    return _store_version(context, model, request)


def partial_fit(context: TaskContext, request: Any) -> Metadata:
    """Fit the model on, chunk after chunk, and store it as a new version."""
    model = context.om.models.get(context.header.name)
    for x, y in pairs(request["X"], request["Y"], context.om.datasets):
        if is_virtualobj(model):
            _virtual(context, model, "partial_fit", (x, y), request["kw"])
        else:
            model.partial_fit(*_arguments(x, y), **request["kw"])
    return _store_version(context, model, request)


def fit_transform(context: TaskContext, request: Any) -> Any:
    """Fit the model, store it as a new version, and return what it makes of X."""
    model = context.om.models.get(context.header.name)
    x, y = whole(context, request)
    if is_virtualobj(model):
        value = _virtual(context, model, "fit_transform", (x, y), request["kw"])
    else:
        value = model.fit_transform(*_arguments(x, y), **request["kw"])
    _store_version(context, model, request)
    return _deliver(context, value, request["rName"])


def score(context: TaskContext, request: Any) -> Any:
    """Return the model's own score of X and Y."""
    model = _for_reading(context)
    x, y = whole(context, request)
    if is_virtualobj(model):
        return _deliver(context, _virtual(context, model, "score", (x, y), request["kw"]), request["rName"])
    return _deliver(context, model.score(*_arguments(x, y), **request["kw"]), request["rName"])


def _applied(method: str) -> Action:
    """Return the action that applies a method of the model to X, chunk by chunk where X is chunked."""

    def apply(context: TaskContext, request: Any) -> Any:
        model = _for_reading(context)
        call: Callable[[Any], Any]
        if is_virtualobj(model):
            call = lambda x: _virtual(context, model, method, x, request["kw"])  # noqa: E731
        else:
            bound = getattr(model, method)
            call = lambda x: bound(x, **request["kw"])  # noqa: E731
        values = [call(x) for x, _ in pairs(request["X"], None, context.om.datasets)]
        return _deliver(context, concatenated(values), request["rName"])

    apply.__doc__ = f"Return what the model's ``{method}`` makes of X."
    return apply


def reduce(context: TaskContext, request: Any) -> Any:
    """Return what a ``@virtualobj`` function makes of a list of values."""
    model = _for_reading(context)
    data = load(request["X"], context.om.datasets)
    return _deliver(context, _virtual(context, model, "reduce", data, request["kw"]), request["rName"])


def _deliver(context: TaskContext, value: Any, name: str | None) -> Any:
    if name is None:
        return value
    return context.stage(context.om.datasets).put(value, name)


MODEL_ACTIONS: dict[str, Action] = {
    "fit": fit,
    "partial_fit": partial_fit,
    "fit_transform": fit_transform,
    "score": score,
    "reduce": reduce,
    **{name: _applied(name) for name in ("predict", "predict_proba", "transform", "decision_function")},
}
