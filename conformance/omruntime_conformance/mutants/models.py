"""Wrong runtimes for the rules of models."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant

_ACTIONS = "omruntime.worker.actions.models"


@mutant("MOD-001")
def predictions_come_as_floats(patch: Patch) -> None:
    """Whole numbers that a model returns come back as floats."""

    @patch(f"{_ACTIONS}:_deliver")
    def deliver(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        context, value, name = args
        whole = getattr(getattr(value, "dtype", None), "kind", "") == "i"
        return wrapped(context, value.astype(float) if whole else value, name)


@mutant("MOD-001")
def frames_lose_their_names(patch: Patch) -> None:
    """A frame reaches the model as an array without the names of its columns."""

    @patch(f"{_ACTIONS}:load")
    def load(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        value = wrapped(*args, **kwargs)
        return value.to_numpy() if hasattr(value, "to_numpy") else value


@mutant("MOD-001")
def y_is_a_column(patch: Patch) -> None:
    """A named Y reaches the model as a frame of one column, at which scikit-learn warns."""

    @patch(f"{_ACTIONS}:load")
    def load(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        return wrapped(*args)


@mutant("MOD-002")
def fit_replaces_the_version_before(patch: Patch) -> None:
    """A fit takes the place of the version that it has begun with."""

    @patch("omruntime.store.writing:Writing._is_replaced")
    def is_replaced(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        return instance._stage is not None or wrapped(*args)


@mutant("MOD-002")
def datasets_of_a_fit_are_not_recorded(patch: Patch) -> None:
    """A fitted model does not tell what it was fitted on."""

    @patch(f"{_ACTIONS}:describe")
    def describe(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return None


@mutant("MOD-003")
def workers_keep_the_first_version(patch: Patch) -> None:
    """A worker goes on predicting with the version that it has loaded first."""
    loaded: dict[tuple[str, str], Any] = {}

    @patch(f"{_ACTIONS}:_for_reading")
    def for_reading(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        [context] = args
        key = (context.key, context.header.name)
        if key not in loaded:
            loaded[key] = wrapped(context)
        return loaded[key]


@mutant("MOD-004")
def errors_of_estimators_are_wrapped(patch: Patch) -> None:
    """What scikit-learn raises comes as the runtime's own error."""

    @patch("omruntime.worker.runner:find_action")
    def find_action(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        action = wrapped(*args)

        def perform(context: Any, request: Any) -> Any:
            try:
                return action(context, request)
            except Exception as exc:
                if not type(exc).__module__.startswith("sklearn"):
                    raise
                raise RuntimeError(f"the task failed: {exc}") from exc

        return perform


@mutant("MOD-005")
def rname_returns_the_value(patch: Patch) -> None:
    """With rName the value is stored, and returned as it is."""

    @patch(f"{_ACTIONS}:_deliver")
    def deliver(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        wrapped(*args)
        return args[1]


@mutant("MOD-005")
def rname_adds_rows(patch: Patch) -> None:
    """With rName the rows are added to those of the run before."""

    @patch(f"{_ACTIONS}:_deliver")
    def deliver(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        context, value, name = args
        if name is not None and context.om.datasets.exists(name):
            import numpy as np

            value = np.concatenate([np.asarray(context.om.datasets.get(name)), value])
        return wrapped(context, value, name)


@mutant("MOD-006")
def chunks_come_in_any_order(patch: Patch) -> None:
    """The predictions of chunks are put together in another order than that of the chunks."""

    @patch(f"{_ACTIONS}:concatenated")
    def concatenated(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        return wrapped(args[0][::-1])


@mutant("MOD-006")
def the_last_chunk_comes_twice(patch: Patch) -> None:
    """The last chunk is fitted on twice."""

    @patch(f"{_ACTIONS}:pairs")
    def pairs(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        found = list(wrapped(*args))
        return found if args[1] is None else [*found, found[-1]]


@mutant("MOD-007")
def keywords_are_dropped(patch: Patch) -> None:
    """The estimator's method gets no keyword arguments."""

    @patch("omruntime.client.proxies:OmegaModelProxy._act")
    def act(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        return wrapped(*args[:-1], {})


@mutant("MOD-008")
def search_has_fewer_folds(patch: Patch) -> None:
    """A search that does not say otherwise has three folds in place of five."""

    @patch("omruntime.worker.runner:find_action")
    def find_action(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        action = wrapped(*args)

        def search(context: Any, request: Any) -> Any:
            return action(context, {**request, "kw": {"cv": 3, **request["kw"]}})

        return search if args[1] == "gridsearch" else action


@mutant("MOD-008")
def candidates_share_one_worker(patch: Patch) -> None:
    """The candidates of a search run in threads of the worker that has the search."""

    @patch("omruntime.worker.actions.search:_parallel")
    def parallel(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        import joblib

        return joblib.parallel_config(backend="threading", n_jobs=2)


@mutant("MOD-009")
def functions_get_x_alone(patch: Patch) -> None:
    """A function that is a model gets no y."""

    @patch(f"{_ACTIONS}:_virtual")
    def virtual(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        context, model, method, data, keywords = args
        return wrapped(context, model, method, data[0] if isinstance(data, tuple) else data, keywords)


@mutant("MOD-010")
def fit_counts_on_from_what_it_read(patch: Patch) -> None:
    """A fit numbers its version after the one that it has read, whatever was stored meanwhile."""
    read: dict[str, int] = {}

    @patch("omruntime.store.objects:ObjectStore.get")
    def get(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if instance.keeps_versions:
            read[args[0]] = instance.metadata(args[0]).version
        return wrapped(*args, **kwargs)

    @patch("omruntime.store.revisions:Revisions.insert")
    def insert(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        import msgspec

        name, build = args

        def numbered(current: Any, revision: int) -> Any:
            record = build(current, revision)
            after = read.get(name, revision - 1) + 1
            return msgspec.structs.replace(record, version=after) if record.staged else record

        return wrapped(name, numbered)


@mutant("MOD-011")
def versions_are_put_at_once(patch: Patch) -> None:
    """The version of a fit is current as soon as it is stored, whatever becomes of the attempt."""

    @patch(f"{_ACTIONS}:_store_version")
    def store_version(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        context, *others = args
        at_once = SimpleNamespace(header=context.header, om=context.om, stage=lambda objects: objects)
        return wrapped(at_once, *others)
