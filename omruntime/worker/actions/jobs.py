"""The action on notebooks: a copy is executed in a kernel of its own, and stored whatever becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omruntime.kinds.base import need
from omruntime.store import Metadata
from omruntime.worker.context import Action, TaskContext

if TYPE_CHECKING:
    from omruntime.worker.kernels import Kernels

__all__ = ["JOB_ACTIONS"]

_kernels: list[Kernels] = []
"""Those of this runner, from its first notebook on."""


def run(context: TaskContext, request: Any) -> Metadata:
    """Run a notebook and return the metadata of the executed copy."""
    need("nbformat", "jobs")
    from omruntime.worker.copies import ExecutedCopy

    args, parameters = list(request["args"]), dict(request["params"])
    job = {"param": args[0] if args else None, "args": args, **request["given"], **parameters}
    copy = ExecutedCopy(context, context.om.jobs.get(context.header.name), {"args": args, **parameters})
    # Before all that takes its time: whatever stops the run, there is a copy of it.
    copy.keep("before its first cell")
    need("nbclient", "jobs")
    from omruntime.worker.kernels import Kernels
    from omruntime.worker.notebooks import NotebookRun

    if not _kernels:
        _kernels.append(Kernels(context.scratch, context.auth))
    kernels = _kernels[0]
    notebook = NotebookRun(context, copy, job, parameters, kernels)
    context.afterwards.append(lambda: kernels.start_ahead(notebook.kernel_name))
    return kernels.run(notebook.perform())


JOB_ACTIONS: dict[str, Action] = {"run": run}
