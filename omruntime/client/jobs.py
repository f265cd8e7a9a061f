"""The proxy of a stored notebook: one run of it, or one for each of many parameters."""

from __future__ import annotations

import builtins
import glob
import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from omruntime.client.mapped import JobTasks, TaskRecord
from omruntime.client.proxies import _Proxy
from omruntime.client.recording import recorder_for
from omruntime.client.result import AsyncResult
from omruntime.client.submission import submit, submit_now
from omruntime.errors import CanvasError, InvalidName, MetadataConflict
from omruntime.kinds.base import need
from omruntime.ledger import new_id
from omruntime.store import Metadata
from omruntime.store.names import check_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OmegaJobProxy"]

ALL = "*"
_TASKS = "tasks/"


class OmegaJobProxy(_Proxy):
    """A stored notebook; ``.ipynb`` may be left out of its name.

    A run executes a copy of the notebook, which stays as ``results/<name>_<moment>.ipynb``, whatever becomes of it.
    """

    _kind = "job"

    def run(self, *args: Any, timeout: float | None = None, **params: Any) -> AsyncResult:
        """Run the notebook; the value is the `Metadata` of the executed copy.

        The notebook sees ``job = {'param': args[0] or None, 'args': [...], **params}``, and ``params`` as variables
        after the cell tagged ``parameters``, or before the first cell where none is.

        Args:
            *args: arguments.
            timeout: seconds that one attempt may take, as in ``require(timeout=)``.
            **params: parameters.

        Raises:
            ObjectNotFound: there is no such notebook.
            SerializationError: an argument cannot be pickled.
        """
        return submit(self._runtime.require(timeout=timeout), "job", self.name, "run", _request(list(args), params))

    def map(
        self, params: Iterable[Any], job_ids: Sequence[Any] | None = None, task_group: str | None = None
    ) -> JobTasks:
        """Run the notebook for each parameter, each time in a ``tasks/<name>/<group>-<id>.ipynb`` of its own.

        A parameter is ``job['param']`` there; a dict is bound as variables as well.

        Args:
            params: the parameters.
            job_ids: ids of the tasks in the group; default their numbers.
            task_group: name of the group; default a new one.

        Raises:
            ObjectNotFound: there is no such notebook.
            SerializationError: a parameter cannot be pickled; nothing was submitted.
            CanvasError: a canvas is being recorded.
            ValueError: the ids are not as many as the parameters, or not unique, or the group has them already.
        """
        self._check_no_canvas("map")
        notebook, stem = self._notebook()
        given = list(params)
        group = self._new_group() if task_group is None else _part("task_group", task_group)
        ids = [_part("job_ids", each) for each in (range(len(given)) if job_ids is None else job_ids)]
        self._check_ids(group, ids, len(given))
        names = [f"{_TASKS}{stem}/{group}-{each}.ipynb" for each in ids]
        self._store_parameters(names, given)
        jobs, node = self._runtime.om.jobs, self._runtime.om.jobs.get(notebook)
        facts = {"source_job": notebook.name, "task_group": group, **_requirements(notebook)}
        tasks = [jobs.put(node, name, attributes={**facts, "task_id": new_id()}) for name in names]
        for meta, param in zip(tasks, given, strict=True):
            self._send(meta, param)
        return JobTasks(stem, tasks, self._runtime)

    def list(self, task_group: str = ALL) -> JobTasks:
        """Return the tasks that `map` has made of this notebook, those of one group where it is named."""
        notebook, stem = self._notebook()
        found = self._runtime.om.jobs.list(f"{_TASKS}{glob.escape(stem)}/*", raw=True)
        # Names may share a beginning; the task knows whose it is.
        mine = [meta for meta in found if meta.attributes.get("source_job") == notebook.name]
        chosen = [meta for meta in mine if task_group in (ALL, meta.attributes["task_group"])]
        return JobTasks(stem, sorted(chosen, key=lambda meta: (meta.created, meta.name)), self._runtime)

    def status(self, task_group: str = ALL) -> pd.DataFrame:
        """Return what has become of the tasks that `map` has made: ``name, task_id, status, run_status``."""
        need("pandas", "data")
        import pandas as pd

        records = TaskRecord.of(self.list(task_group), self._runtime)
        rows = [(each.meta.name, each.task_id, each.status, each.run_status) for each in records]
        return pd.DataFrame(rows, columns=["name", "task_id", "status", "run_status"])

    def restart(self, task_group: str | None = None) -> JobTasks:
        """Run those tasks of `map` again that have ended without success, or were never sent, with the current code.

        What is waiting or running is left alone.

        Args:
            task_group: name of the group; default the latest one, ``'*'`` for all.

        Raises:
            ObjectNotFound: there is no such notebook.
            CanvasError: a canvas is being recorded.
        """
        self._check_no_canvas("restart")
        notebook, stem = self._notebook()
        tasks: builtins.list[Metadata] = self.list(ALL if task_group is None else task_group)
        if task_group is None and tasks:
            latest = tasks[-1].attributes["task_group"]
            tasks = [meta for meta in tasks if meta.attributes["task_group"] == latest]
        due = [each.meta for each in TaskRecord.of(tasks, self._runtime) if each.is_due]
        return JobTasks(stem, [meta for meta in due if self._restart(meta, notebook)], self._runtime)

    def _restart(self, meta: Metadata, notebook: Metadata) -> bool:
        """Send one task again; False when somebody else has."""
        om = self._runtime.om
        param = om.datasets.get(_parameter_name(meta.name))[0]
        meta.attributes.update({"task_id": new_id(), **_requirements(notebook)})
        try:
            meta.save()
        except MetadataConflict:
            return False
        om.jobs.put(om.jobs.get(notebook), meta.name)
        self._send(meta, param)
        return True

    def _send(self, meta: Metadata, param: Any) -> None:
        params = (
            {key: value for key, value in param.items() if isinstance(key, str)} if isinstance(param, dict) else {}
        )
        request = _request([param], params)
        submit_now(self._runtime, "job", meta.name, "run", request, task=meta.attributes["task_id"])

    def _check_no_canvas(self, action: str) -> None:
        if recorder_for(self._runtime) is not None:
            raise CanvasError(f"{action}() sends tasks of its own, at once, and is no step of a canvas; use run()")

    def _notebook(self) -> tuple[Metadata, str]:
        """Return the metadata of the notebook, and its name without the ending."""
        notebook = self._runtime.om.jobs.check(self.name)
        return notebook, notebook.name.removesuffix(".ipynb")

    def _new_group(self) -> str:
        known = {meta.attributes["task_group"] for meta in self.list()}
        return next(group for group in iter(lambda: secrets.token_hex(4), None) if group not in known)

    def _check_ids(self, group: str, ids: builtins.list[str], count: int) -> None:
        if not len(ids) == len(set(ids)) == count:
            raise ValueError(f"job_ids has {len(set(ids))} different ids for {count} parameters: give each its own")
        taken = {meta.name.rpartition("/")[2] for meta in self.list(group)}
        there = [each for each in ids if f"{group}-{each}.ipynb" in taken]
        if there:
            raise ValueError(
                f"the group {group!r} has tasks {', '.join(there)} already; restart({group!r}) runs again what has "
                "failed of them, other job_ids add to the group"
            )

    def _store_parameters(self, names: builtins.list[str], params: builtins.list[Any]) -> None:
        """Keep the parameters for a restart: all of them, or none where one cannot be stored."""
        datasets = self._runtime.om.datasets
        for count, (name, param) in enumerate(zip(names, params, strict=True)):
            try:
                datasets.put([param], _parameter_name(name))
            except BaseException:
                for done in names[:count]:
                    datasets.drop(_parameter_name(done), force=True)
                raise


def _parameter_name(task: str) -> str:
    return f".{task.removesuffix('.ipynb')}"


def _requirements(notebook: Metadata) -> dict[str, Any]:
    return {"require": notebook.attributes.get("require")}


def _request(args: builtins.list[Any], params: dict[str, Any]) -> dict[str, Any]:
    return {"args": args, "params": params, "given": {}}


def _part(what: str, value: Any) -> str:
    """Return a part of the name of a task; it may hold no slash."""
    text = str(value)
    if not text or "/" in text:
        raise InvalidName(f"{what}: {value!r} cannot be a part of the name of a notebook; it may hold no slash")
    return check_name(text)
