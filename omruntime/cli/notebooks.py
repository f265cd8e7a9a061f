"""What there is to tell of notebooks: their runs, those that go on too, and the tasks that they were mapped to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from omruntime.errors import OmegaRuntimeError
from omruntime.pictures import tally
from omruntime.pictures.texts import clock

if TYPE_CHECKING:
    from omruntime import Metadata, Omega
    from omruntime.ledger import Request

__all__ = ["overview", "runs_of", "tasks_of"]

_MADE = ("results/", "tasks/")
"""What the names of notebooks begin with that runs and maps have made."""
_STATUS = {"OK": "SUCCESS", "ERROR": "FAILURE"}


def overview(om: Omega) -> list[dict[str, Any]]:
    """Return of each notebook that somebody has put how often it ran, how the latest run went, and its tasks."""
    stored = om.jobs.list(raw=True)
    tasks: dict[str, list[Metadata]] = {}
    for meta in stored:
        if meta.name.startswith("tasks/"):
            tasks.setdefault(str(meta.attributes.get("source_job")), []).append(meta)
    found = []
    for meta in stored:
        if not meta.name.startswith(_MADE):
            newest, count = runs_of(om, om.jobs.metadata(meta), 1)
            latest = newest[0] if newest else {"run": "", "status": "", "id": ""}
            found.append(
                {
                    "name": meta.name,
                    "runs": count,
                    "last run": latest["run"],
                    "status": latest["status"],
                    "id": latest["id"],
                    "mapped tasks": tally(each["status"] for each in tasks_of(tasks.get(meta.name, ()), om)),
                }
            )
    return found


def runs_of(om: Omega, meta: Metadata, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Return the newest runs of a notebook, the newest first, and how many there are.

    Those that are not over have left no copy yet. Of the others the copy tells, which knows no more than OK and
    ERROR; the ledger tells better, as long as it does.
    """
    runs = _all_runs(om, meta)
    shown = runs[:limit]
    states = om.session.ledger.states([run["id"] for run in shown])
    known = {id: state.status for id, state in states.items() if not isinstance(state, Exception)}
    return [{**run, "status": known.get(run["id"], run["status"])} for run in shown], len(runs)


def _all_runs(om: Omega, meta: Metadata) -> list[dict[str, Any]]:
    over = [
        {
            "run": clock(run["ts"].timestamp()),
            "id": run["task_id"],
            "status": _STATUS.get(run["status"], run["status"]),
            "results": run["results"],
            "error": run["message"].partition("\n")[0],
        }
        for run in reversed(meta.attributes["job_runs"])
    ]
    left = {run["id"] for run in over}
    return [run for run in _open_runs(om, meta) if run["id"] not in left][::-1] + over


def _open_runs(om: Omega, meta: Metadata) -> Iterator[dict[str, Any]]:
    session = om.session
    ids = {task: request for task, request in session.ledger.open_tasks() if _is_run(om, request, meta.name)}
    for task, state in session.ledger.states(ids).items():
        if not isinstance(state, Exception) and state.end is None:
            submitted = clock(ids[task].submitted)
            yield {"run": submitted, "id": task, "status": state.status, "results": "", "error": ""}


def _is_run(om: Omega, request: Request, name: str) -> bool:
    from omruntime.store.names import canonical
    from omruntime.wire import open_call

    action, _, notebook = request.name.partition(" ")
    if action != "job.run" or canonical(notebook, "jobs/") != name:
        return False
    try:
        return open_call(request.payload, om.session.auth).bucket == om.bucket
    except OmegaRuntimeError:
        # Signed with another key, or of another version: then nobody here can tell.
        return False


def tasks_of(tasks: Iterable[Metadata], om: Omega) -> list[dict[str, Any]]:
    """Return what has become of the tasks of a map."""
    from omruntime.client.mapped import TaskRecord

    return [
        {
            "task": each.meta.name,
            "group": each.meta.attributes["task_group"],
            "id": each.task_id,
            "status": each.status,
            "run_status": each.run_status,
        }
        for each in TaskRecord.of(tasks, om.runtime)
    ]
