"""Wrong runtimes for the rules of notebooks."""

from __future__ import annotations

import json
from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant


@mutant("JOB-001")
def notebooks_run_in_place(patch: Patch) -> None:
    """The stored notebook gets the outputs of its run, like the copy."""

    @patch("omruntime.worker.copies:ExecutedCopy.finish")
    def finish(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        context = instance._context
        context.om.jobs.put(instance.node, context.header.name)
        return wrapped(*args, **kwargs)


@mutant("JOB-002")
def parameters_travel_as_json(patch: Patch) -> None:
    """The parameters of a notebook go through JSON, and what that does not know comes as text."""

    @patch("omruntime.client.jobs:_request")
    def request(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        given, parameters = args
        return wrapped(given, json.loads(json.dumps(parameters, default=str)))


@mutant("JOB-003")
def failing_cells_are_passed_over(patch: Patch) -> None:
    """A notebook goes on behind a failing cell, and counts as a success."""

    @patch("omruntime.worker.outputs:BoundedClient.__init__")
    def begin(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs, allow_errors=True)


@mutant("JOB-003")
def failed_copies_are_dropped(patch: Patch) -> None:
    """A run that fails leaves no copy."""

    @patch("omruntime.worker.attempts:Attempts._settle")
    def settle(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        delivery, effects, state = args
        return wrapped(delivery, effects, "lost" if state == "FAILURE" else state)


@mutant("JOB-004")
def names_that_share_a_beginning_mix(patch: Patch) -> None:
    """The tasks of a notebook are all those whose names begin like its own."""

    @patch("omruntime.client.jobs:OmegaJobProxy.list")
    def tasks(_wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.client.mapped import JobTasks

        group, runtime = (*args, "*")[0], instance._runtime
        stem = instance.name.removesuffix(".ipynb")
        found = runtime.om.jobs.list(f"tasks/{stem}*", raw=True)
        chosen = [meta for meta in found if group in ("*", meta.attributes["task_group"])]
        return JobTasks(stem, sorted(chosen, key=lambda meta: (meta.created, meta.name)), runtime)


@mutant("JOB-005")
def restart_takes_what_runs(patch: Patch) -> None:
    """A restart runs again whatever has not succeeded, also what is on its way."""

    @patch.module("omruntime.client.mapped")
    def change(mapped: Any) -> None:
        mapped.TaskRecord.is_due = property(lambda record: record.status != "SUCCESS")


@mutant("JOB-005")
def restart_runs_the_old_code(patch: Patch) -> None:
    """A restart runs the notebook as it was when it was mapped."""

    @patch("omruntime.client.jobs:OmegaJobProxy._restart")
    def restart(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> Any:
        meta, notebook = args
        jobs = instance._runtime.om.jobs
        current = jobs.get(notebook)
        jobs.put(jobs.get(meta), notebook.name)
        try:
            return wrapped(meta, notebook)
        finally:
            jobs.put(current, notebook.name)


@mutant("JOB-006")
def limits_end_the_wait_alone(patch: Patch) -> None:
    """When the time of a notebook is over its caller is told, and it goes on."""

    @patch("omruntime.worker.attempts:Attempts.time_out")
    def time_out(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.errors import TaskTimeout

        _slot, delivery = args
        if delivery.header.kind != "job":
            return wrapped(*args)
        return delivery.refuse(TaskTimeout("the time is over", task=delivery.task))


@mutant("JOB-006")
def dead_kernels_are_no_failure(patch: Patch) -> None:
    """A notebook whose kernel dies is over, and counts as a success."""

    @patch("omruntime.worker.notebooks:NotebookRun._execute")
    async def execute(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> None:
        from omruntime.errors import JobError

        try:
            await wrapped(*args)
        except JobError as exc:
            if exc.__cause__ is not None:
                raise


@mutant("JOB-007")
def copies_of_lost_attempts_stay(patch: Patch) -> None:
    """An attempt whose worker is killed leaves its copy, whatever becomes of the next one."""

    @patch("omruntime.worker.attempts:Attempts._settle")
    def settle(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        delivery, effects, state = args
        return wrapped(delivery, effects, "FAILURE" if state == "lost" else state)


@mutant("JOB-008")
def cancelled_copies_are_bare(patch: Patch) -> None:
    """The copy that a cancelled notebook leaves is the notebook as it was before."""

    @patch("omruntime.worker.attempts:Attempts._settle")
    def settle(wrapped: Any, instance: Any, args: Any, _kwargs: Any) -> None:
        from omruntime.store import ObjectStore, decode_record

        delivery, effects, state = args
        revoked = state == "REVOKED" and bool(delivery.results)
        wrapped(delivery, effects, "lost" if revoked else state)
        if revoked:
            header, auth = delivery.header, instance._auth
            jobs = ObjectStore(delivery.site.store, "jobs/", bucket=header.bucket, auth=auth)
            told = decode_record(effects[0].settled).attributes
            jobs.put(jobs.get(header.name), delivery.results, attributes=told)


@mutant("JOB-009")
def any_kernel_will_do(patch: Patch) -> None:
    """A notebook whose kernel is not installed runs in that of Python."""

    @patch("omruntime.worker.kernels:Kernels.start")
    def start(wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return wrapped("python3")


@mutant("JOB-009")
def anything_is_a_notebook(patch: Patch) -> None:
    """Whatever is put as a notebook is stored, and found out when it runs."""

    @patch("omruntime.kinds.notebooks:JupyterNotebook.supports")
    def supports(_wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        return args[1] == "jobs/"

    @patch("omruntime.kinds.notebooks:JupyterNotebook.put")
    def put(_wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        from omruntime.abc.kind import Stored

        node, _name, writer = args
        blob = writer.write([json.dumps(node).encode()], pickled=True)
        return Stored({"blob": blob}, (blob,))


@mutant("JOB-010")
def output_is_not_bounded(patch: Patch) -> None:
    """Whatever a notebook prints is kept."""

    @patch.module("omruntime.worker.outputs")
    def change(outputs: Any) -> None:
        outputs.HEAD_LIMIT = 1 << 40


@mutant("JOB-010")
def the_end_of_much_output_is_lost(patch: Patch) -> None:
    """Of what a notebook prints without end the beginning is kept."""

    @patch.module("omruntime.worker.outputs")
    def change(outputs: Any) -> None:
        outputs.TAIL_LIMIT = 1


@mutant("JOB-011")
def notebooks_are_handed_nothing(patch: Patch) -> None:
    """A notebook in a canvas does not see what the steps before it have made."""

    @patch("omruntime.worker.runner:find_action")
    def find_action(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        action = wrapped(*args)
        if args[0] != "job":
            return action
        return lambda context, request: action(context, {**request, "given": {}})
