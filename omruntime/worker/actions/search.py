"""The action that searches a model's parameters, and the batches of candidates that it has other workers try."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from omruntime.abc import Capability
from omruntime.errors import MetadataConflict
from omruntime.kinds.base import need
from omruntime.store import Metadata, ObjectStore
from omruntime.worker.actions.models import describe, whole
from omruntime.worker.context import Action, TaskContext

__all__ = ["BATCH_ACTIONS", "SEARCH_ACTIONS"]


def gridsearch(context: TaskContext, request: Any) -> Metadata:
    """Search the parameters, store the fitted search, and list it with the model, whose `Metadata` is the value."""
    selection = need("sklearn.model_selection", "models")
    name, models = context.header.name, context.stage(context.om.models)
    x, y = whole(context, request)
    keywords = {"cv": 5, **request["kw"]}
    search = selection.GridSearchCV(models.get(name), request["parameters"], **keywords)
    with _parallel(context, x, y):
        search.fit(x, y)
    # Of the time of submission: each attempt of the task stores it under the same name.
    moment = datetime.fromtimestamp(context.header.submitted, UTC).isoformat()
    stored = models.put(search, f"{models.metadata(name).name}.{moment}.gs").name
    dataset = {"Xname": describe(request["X"]), "Yname": describe(request["Y"])}
    return _listed(models, name, {"datetime": moment, "gsModel": stored, **dataset})


def _listed(models: ObjectStore, name: str, entry: dict[str, Any]) -> Metadata:
    """Add an entry to the searches of a model, and return its metadata."""
    while True:
        # The object as it is now, whichever of its versions was searched.
        meta = models.metadata(models.metadata(name).name)
        meta.attributes["gridsearch"] = [*meta.attributes.get("gridsearch", []), entry]
        try:
            models.save(meta)
        except MetadataConflict:
            continue
        return meta


@contextmanager
def _parallel(context: TaskContext, x: Any, y: Any) -> Iterator[None]:
    """Have what scikit-learn does in parallel done by tasks, or here, where tasks cannot wait for tasks."""
    joblib = need("joblib", "models")
    with ExitStack() as stack:
        if context.om.runtime.can(Capability.NESTED_WAIT):
            from omruntime.worker.fanout import FanOut

            backend: Any = stack.enter_context(FanOut(context, (x, y)))
            stack.enter_context(joblib.parallel_config(backend=backend, n_jobs=-1))
        else:
            stack.enter_context(joblib.parallel_config(backend="sequential"))
        yield


def batch(context: TaskContext, request: Any) -> Any:
    """Run one batch of a parallel call of another task, and return what it returns."""
    need("joblib", "models")
    from omruntime.worker.fanout import run_batch

    return run_batch(request["batch"], request["shared"], context.site.store)


SEARCH_ACTIONS: dict[str, Action] = {"gridsearch": gridsearch}
BATCH_ACTIONS: dict[str, Action] = {"batch": batch}
