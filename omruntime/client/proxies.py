"""Proxies of stored objects: what a user calls to have an action run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omruntime.client.result import AsyncResult
from omruntime.client.submission import data_argument, submit
from omruntime.store.names import check_name

if TYPE_CHECKING:
    from omruntime.client.runtime import OmegaRuntime

__all__ = ["OmegaModelProxy", "OmegaScriptProxy"]


class _Proxy:
    _kind: str

    def __init__(self, name: str, runtime: OmegaRuntime) -> None:
        self.name = name
        self._runtime = runtime

    def _submit(self, action: str, request: dict[str, Any]) -> AsyncResult:
        return submit(self._runtime, self._kind, self.name, action, request)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class OmegaModelProxy(_Proxy):
    """A stored model; every action returns an `AsyncResult` at once.

    ``X`` and ``Y`` are the name of a dataset with an optional selector (``'iris[^y]'``, ``'big#'``), its `Metadata`,
    or data; a step of a canvas that omits X gets the value of the step before it. ``rName`` names a dataset that the
    value is stored as. Other keyword arguments go to the model's method.
    All actions raise `ObjectNotFound`, `SelectorError` or `SerializationError` for arguments that cannot work.
    """

    _kind = "model"

    def _act(self, action: str, x: Any, y: Any, r_name: str | None, kw: dict[str, Any]) -> AsyncResult:
        if r_name is not None:
            check_name(r_name)
        return self._submit(action, {"X": self._data(x), "Y": self._data(y), "rName": r_name, "kw": kw})

    def _data(self, given: Any) -> list[Any] | None:
        return data_argument(given, self._runtime.om.datasets)

    def fit(self, X: Any = None, Y: Any = None, **kw: Any) -> AsyncResult:
        """Fit the model and store it as a new version; the value is its `Metadata`."""
        return self._act("fit", X, Y, None, kw)

    def partial_fit(self, X: Any = None, Y: Any = None, **kw: Any) -> AsyncResult:
        """Fit the model on, chunk by chunk for ``'d#'``; the value is the `Metadata` of the new version."""
        return self._act("partial_fit", X, Y, None, kw)

    def predict(self, X: Any = None, rName: str | None = None, **kw: Any) -> AsyncResult:
        """Predict; the value is what the model returns, or the `Metadata` of ``rName``."""
        return self._act("predict", X, None, rName, kw)

    def predict_proba(self, X: Any = None, rName: str | None = None, **kw: Any) -> AsyncResult:
        """Predict probabilities; the value is what the model returns, or the `Metadata` of ``rName``."""
        return self._act("predict_proba", X, None, rName, kw)

    def transform(self, X: Any = None, rName: str | None = None, **kw: Any) -> AsyncResult:
        """Transform; the value is what the model returns, or the `Metadata` of ``rName``."""
        return self._act("transform", X, None, rName, kw)

    def fit_transform(self, X: Any = None, Y: Any = None, rName: str | None = None, **kw: Any) -> AsyncResult:
        """Fit, store as a new version, and transform; the value is the new X, or the `Metadata` of ``rName``."""
        return self._act("fit_transform", X, Y, rName, kw)

    def decision_function(self, X: Any = None, rName: str | None = None, **kw: Any) -> AsyncResult:
        """Compute the decision function; the value is what the model returns, or the `Metadata` of ``rName``."""
        return self._act("decision_function", X, None, rName, kw)

    def score(self, X: Any = None, Y: Any = None, rName: str | None = None, **kw: Any) -> AsyncResult:
        """Score; the value is the model's own score, or the `Metadata` of ``rName``."""
        return self._act("score", X, Y, rName, kw)

    def gridsearch(
        self,
        X: Any = None,
        Y: Any = None,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        **kw: Any,
    ) -> AsyncResult:
        """Search the best parameters by cross-validation; the value is the `Metadata` of the model.

        Its ``attributes['gridsearch'][-1]['gsModel']`` names the fitted `GridSearchCV`, stored as a model. Candidates
        are tried in parallel by all workers of the label. Other keyword arguments go to `GridSearchCV`; ``cv`` is 5.

        Raises:
            TypeError: there are no parameters, or they are not lists of values by name.
        """
        request = {"X": self._data(X), "Y": self._data(Y), "parameters": _grid(parameters), "kw": kw}
        return self._submit("gridsearch", request)

    def reduce(self, data: Any = None, rName: str | None = None, **kw: Any) -> AsyncResult:
        """Have a ``@virtualobj`` function reduce a list of values; the value is what it returns."""
        return self._act("reduce", None if data is None else list(data), None, rName, kw)


class OmegaScriptProxy(_Proxy):
    """A stored script."""

    _kind = "script"

    def run(self, *args: Any, **kwargs: Any) -> AsyncResult:
        """Run the script; the value is a dict: script, args, kwargs, result, runtime (microseconds), started, ended.

        Raises:
            ObjectNotFound: there is no such script.
            SerializationError: an argument cannot be pickled.
        """
        return self._submit("run", {"args": list(args), "kwargs": kwargs, "given": {}})


def _grid(parameters: Any) -> Any:
    """Return the parameters of a search, checked as far as one can without scikit-learn."""
    grids = [parameters] if isinstance(parameters, Mapping) else parameters
    if not isinstance(grids, list | tuple) or not grids or not all(isinstance(each, Mapping) for each in grids):
        raise TypeError(
            f"gridsearch(parameters={parameters!r}): say which values to try, like parameters={{'max_depth': [2, 5]}}"
        )
    return parameters
