"""What is known of the runs of a notebook, told by the copies that they leave.

Nobody writes a list of runs: those that finish at the same time, in many processes, would have to take turns, and one
would be in the list before or after its copy is there. So the list is put together when somebody asks for it.
"""

from __future__ import annotations

from typing import Any

from omruntime.store.metadata import Metadata
from omruntime.store.names import canonical
from omruntime.store.revisions import Revisions

__all__ = ["JOB_RUNS", "RESULTS", "with_runs", "without_runs"]

JOB_RUNS = "job_runs"
"""The attribute of a notebook that lists its runs."""
RESULTS = "results/"
"""What the names of executed copies begin with."""


def with_runs(meta: Metadata, revisions: Revisions) -> Metadata:
    """Add the runs of a notebook to its metadata, the oldest first: status, ts, message, results, task_id."""
    found = []
    for name, row in revisions.names(RESULTS + meta.name.removesuffix(".ipynb")):
        attributes = row.record.attributes
        source, run = attributes.get("source_job"), attributes.get("job_run")
        # Names may share a beginning; the copy knows whose it is.
        if isinstance(source, str) and isinstance(run, dict) and canonical(source, "jobs/") == meta.name:
            found.append({**run, "results": name, "task_id": attributes.get("task_id", "")})
    meta.attributes = {**meta.attributes, JOB_RUNS: sorted(found, key=lambda run: (run["ts"], run["results"]))}
    return meta


def without_runs(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be stored of the attributes of a notebook."""
    return {key: value for key, value in attributes.items() if key != JOB_RUNS}
