"""Jobs: notebooks, their parameters, the copies that runs leave, and what becomes of kernels."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

import pytest

from omruntime import AsyncResult, virtualobj
from omruntime.abc import Capability
from omruntime.errors import JobError, SerializationError, TaskRevoked, TaskTimeout, WorkerLost
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule

_NOTES = "from omruntime_conformance.tasks import note, pass_gate\n"


def _put(ctx: Context, name: str, *cells: str, parameters: int | None = None) -> None:
    """Store a notebook of these cells, one of them tagged ``parameters``."""
    import nbformat

    tagged = [
        nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]} if number == parameters else {})
        for number, cell in enumerate(cells)
    ]
    ctx.om.jobs.put(nbformat.v4.new_notebook(cells=tagged), name)


def _printed(ctx: Context, copy: str) -> list[str]:
    """Return what each cell of an executed copy has printed."""
    cells = ctx.om.jobs.get(copy).cells
    return ["".join(each.get("text", "") for each in cell.get("outputs", [])) for cell in cells]


def _runs(ctx: Context, name: str) -> list[Any]:
    runs: list[Any] = ctx.om.jobs.metadata(name).attributes["job_runs"]
    return runs


@rule("JOB-001", independent=True)
def executed_copy_stays(ctx: Context) -> None:
    """A run leaves an executed copy under results/ with its outputs, and the stored notebook is unchanged.

    The executed copy is the report that people look at, and the notebook as it was written is the source of the next
    one.
    """
    figure = "from IPython.display import Image, display\ndisplay(Image(b'\\x89PNG\\r\\n\\x1a\\n' + bytes(8)))"
    _put(ctx, "report", "print('one')", "[1, 2]", figure)
    before = ctx.om.jobs.get("report")
    handles = [ctx.om.runtime.job("report").run() for _ in range(4)]
    metas = [ctx.get(handle) for handle in handles]
    for meta, handle in zip(metas, handles, strict=True):
        assert re.fullmatch(r"results/report_\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\.ipynb", meta.name)
        assert meta.attributes["source_job"] == "report"
        assert meta.attributes["task_id"] == handle.id
        cells = ctx.om.jobs.get(meta.name).cells
        assert [cell.execution_count for cell in cells] == [1, 2, 3]
        assert cells[0].outputs[0].text == "one\n"
        assert cells[1].outputs[0].data["text/plain"] == "[1, 2]"
        assert "image/png" in cells[2].outputs[0].data
        assert handle.status == "SUCCESS"
        assert handle.logs() == "one\n"
    names = [meta.name for meta in metas]
    assert len(set(names)) == 4
    assert ctx.om.jobs.list("results/*") == sorted(names)
    assert ctx.om.jobs.get("report") == before
    # Runs that end at the same time in several processes are all there.
    assert sorted(run["results"] for run in _runs(ctx, "report")) == sorted(names)
    assert {run["status"] for run in _runs(ctx, "report")} == {"OK"}


_SHOWS = """
import pickle, base64
bound = {name: globals()[name] for name in job if name not in ("param", "args")}
print(base64.b64encode(pickle.dumps([job, bound, tagged])).decode())
"""


@rule("JOB-002", independent=True)
def parameters_arrive(ctx: Context) -> None:
    """Parameters of any plain type arrive as they were (dates, quotes, nested, numpy).

    Parameters that pass through text or JSON come back as something else: a date as a string, a tuple as a list.
    """
    import numpy as np

    given: dict[str, Any] = {
        "day": dt.date(2026, 11, 20),
        "moment": dt.datetime(2026, 11, 20, 6, 30, tzinfo=dt.UTC),
        "quotes": 'it\'s "quoted" \\ and {braced}\n\'\'\'\n"""',
        "nested": {"a": [1, (2, {"b": None})], 3: {4.5}},
        "large": 2**80,
        "nothing": None,
        "array": np.arange(6.0).reshape(2, 3),
        "scalar": np.float32(1.5),
    }
    _put(ctx, "shows", "tagged = 'default'\nday = None", _SHOWS, parameters=0)
    _put(ctx, "untagged", "tagged = 'first'", _SHOWS)
    for name, tagged in (("shows", "by the call"), ("untagged", "first")):
        meta = ctx.get(ctx.om.runtime.job(name).run([1, "two"], 3, **given, tagged="by the call"))
        job, bound, seen = _loaded(_printed(ctx, meta.name)[1])
        assert (job.pop("param"), job.pop("args")) == ([1, "two"], [[1, "two"], 3])
        for values in (job, {**bound, "tagged": "by the call"}):
            assert values.keys() == {*given, "tagged"}
            for key, value in given.items():
                assert type(values[key]) is type(value), key
                assert np.array_equal(values[key], value), key
                assert getattr(values[key], "dtype", None) == getattr(value, "dtype", None), key
        assert seen == tagged
        # They are data: the copy has the cells of the notebook, and tells the parameters beside them.
        copy = ctx.om.jobs.get(meta.name)
        assert [cell.source for cell in copy.cells] == [cell.source for cell in ctx.om.jobs.get(name).cells]
        assert copy.metadata["omruntime"]["parameters"]["quotes"] == given["quotes"]
    meta = ctx.get(ctx.om.runtime.job("shows").run())
    assert _loaded(_printed(ctx, meta.name)[1])[0] == {"param": None, "args": []}


def _loaded(text: str) -> Any:
    import base64
    import pickle

    return pickle.loads(base64.b64decode(text))


@rule("JOB-003", independent=True)
def failing_cell_is_a_failure(ctx: Context) -> None:
    """A failing cell is a FAILURE that names the cell; the copy is kept and `restart` runs it again.

    A notebook that failed and counts as done is found out weeks later. What ran before the failing cell is in the
    copy.
    """
    _put(ctx, "fails", "print('before')", "value = {}\nvalue['missing']", "print('after')")
    handle = ctx.om.runtime.job("fails").run()
    error = ctx.fails(handle, JobError)
    assert handle.status == "FAILURE"
    assert (error.cell, error.task) == (1, handle.id)
    assert "value['missing']" in str(error), "it must show the source of the cell"
    assert "KeyError" in str(error)
    assert error.results in str(error)
    assert type(error.__cause__) is KeyError
    assert error.__cause__.args == ("missing",)
    assert _printed(ctx, error.results)[::2] == ["before\n", ""]
    assert ctx.om.jobs.get(error.results).cells[1].outputs[0].ename == "KeyError"
    [run] = _runs(ctx, "fails")
    assert (run["status"], run["results"]) == ("ERROR", error.results)
    assert "KeyError" in run["message"]
    # What map has made can be restarted, with the code as it is then.
    job = ctx.om.runtime.job("fails")
    tasks = job.map([1, 2])
    for task in tasks.collect():
        ctx.fails(task, JobError)
    _put(ctx, "fails", "print('mended', job['param'])")
    again = job.restart()
    copies = again.get(timeout=ctx.wait.seconds)
    assert [_printed(ctx, copy.name) for copy in copies] == [["mended 1\n"], ["mended 2\n"]]
    assert len(_runs(ctx, tasks[0].name)) == 2
    assert job.restart() == []


_MEETS = _NOTES + "note(log, 'start', str(job['param']))\npass_gate(gate)\nprint('param', job['param'])"


@rule("JOB-004", workers={"default": 2})
def map_runs_one_task_each(ctx: Context) -> None:
    """map runs one task per parameter, in parallel, each in its own copy; groups do not mix, nor do names that share a prefix.

    One notebook for each customer, day or store is the everyday use, and nobody looks at each of them.
    """  # noqa: D403, E501
    gate = ctx.gate()
    for name in ("sweep", "sweep2", "sweep/inner"):
        _put(ctx, name, f"log, gate = {str(ctx.log)!r}, {str(gate)!r}", _MEETS)
    job = ctx.om.runtime.job("sweep")
    tasks = job.map([1, {"alpha": 2}, "three"], task_group="first")
    assert [meta.name for meta in tasks] == [f"tasks/sweep/first-{number}.ipynb" for number in range(3)]
    # Both workers are inside at the same time, before the gate opens.
    ctx.log.wait("start", count=2)
    gate.open()
    copies = tasks.get(timeout=ctx.wait.seconds)
    assert [_printed(ctx, copy.name)[1] for copy in copies] == [
        f"param {param!r}\n" for param in (1, {"alpha": 2})
    ] + ["param three\n"]
    assert len({copy.name for copy in copies}) == 3
    assert all(copy.name.startswith("results/tasks/sweep/first-") for copy in copies)
    others = [ctx.om.runtime.job(name).map([9]) for name in ("sweep2", "sweep/inner")]
    second = job.map(["x", "y"], job_ids=["a", "b"])
    group = second[0].attributes["task_group"]
    assert [meta.name for meta in second] == [f"tasks/sweep/{group}-{id}.ipynb" for id in "ab"]
    assert [meta.name for meta in job.list("first")] == [meta.name for meta in tasks]
    assert [meta.name for meta in job.list()] == [meta.name for meta in (*tasks, *second)]
    for mapped in (*others, second):
        mapped.get(timeout=ctx.wait.seconds)
    status = job.status(group)
    assert list(status.columns) == ["name", "task_id", "status", "run_status"]
    assert status["name"].tolist() == [meta.name for meta in second]
    assert set(status["status"]) == {"SUCCESS"}
    assert set(job.status()["run_status"]) == {"OK"}
    assert len(ctx.log.starts()) == 7
    with pytest.raises(ValueError, match="first"):
        job.map([1], task_group="first")


_COUNTS = _NOTES + (
    "name = job['param']\nnote(log, 'start', name)\npass_gate(gate) if name == 'runs' else None\n"
    "assert name != 'fails' or mended, name"
)


@rule("JOB-005", workers={"default": 2})
def restart_runs_what_has_not_succeeded(ctx: Context) -> None:
    """restart runs exactly what has ended without success, with the current code; what is running is left alone.

    A night's run of hundreds is mended by running what failed, and nothing else, with the corrected notebook.
    """  # noqa: D403
    gate = ctx.gate()
    names = f"log, gate = {str(ctx.log)!r}, {str(gate)!r}\n"
    job = ctx.om.runtime.job("counts")
    _put(ctx, "counts", names + "mended = False", _COUNTS)
    assert job.restart() == []
    older = job.map(["fails"], task_group="older")
    ctx.fails(older.collect()[0], JobError)
    tasks = job.map(["works", "fails", "runs"])
    works, fails, runs = tasks.collect()
    ctx.get(works)
    ctx.fails(fails, JobError)
    ctx.log.wait("start", "runs")
    _put(ctx, "counts", names + "mended = True", _COUNTS)
    again = job.restart()
    assert [meta.name for meta in again] == [tasks[1].name]
    again.get(timeout=ctx.wait.seconds)
    assert runs.status == "STARTED"
    assert job.restart() == []
    assert [meta.name for meta in job.restart("*")] == [older[0].name]
    gate.open()
    ctx.get(runs)
    ctx.wait(lambda: set(job.status()["run_status"]) == {"OK"}, "the end of all tasks")
    started = [entry.name for entry in ctx.log.starts()]
    assert {name: started.count(name) for name in ("works", "fails", "runs")} == {"works": 1, "fails": 4, "runs": 1}


def _held(ctx: Context, name: str) -> None:
    """Store a notebook whose second cell says where it runs, and goes on when the gate opens."""
    gate = ctx.gate(name)
    here = f"note({str(ctx.log)!r}, 'kernel', {name!r})\nimport os\n"
    runner = f"note({str(ctx.log)!r}, 'runner', {name!r}, pid=os.getppid())\n"
    _put(ctx, name, "print('ran')", _NOTES + here + runner + f"pass_gate({str(gate)!r})", "print('not reached')")


def _is_over(ctx: Context, name: str) -> None:
    """Wait until neither kernel nor runner of a notebook is there any more."""
    for what in ("kernel", "runner"):
        for entry in ctx.log.entries(what, name):
            ctx.wait(lambda pid=entry.pid: not ctx.alive(pid), f"the end of the {what} of {name}")  # type: ignore[misc]


def _no_limit(ctx: Context) -> None:
    _put(ctx, "long", "print('ran')")
    ctx.refuses(lambda: ctx.om.runtime.job("long").run(timeout=1), Capability.TIME_LIMIT)


@rule("JOB-006", own_cluster=True, capability=Capability.TIME_LIMIT, refusal=_no_limit)
def no_notebook_waits_for_ever(ctx: Context) -> None:
    """timeout stops the notebook and its kernel; a kernel that dies is a FAILURE, never a wait for ever.

    A kernel is a process of its own, which hangs or dies by itself. Look for one that outlives its task.
    """  # noqa: D403
    _held(ctx, "long")
    handle = ctx.om.runtime.job("long").run(timeout=5 * max(1.0, ctx.harness.patience))
    error = ctx.fails(handle, TaskTimeout)
    assert handle.status == "FAILURE"
    _is_over(ctx, "long")
    _left(ctx, "long", error.results, handle)
    _held(ctx, "dies")
    handle = ctx.om.runtime.job("dies").run()
    ctx.kill(ctx.log.wait("kernel", "dies")[0].pid)
    died = ctx.fails(handle, JobError)
    assert handle.status == "FAILURE"
    assert died.cell == 1
    assert "SIGKILL" in str(died)
    _left(ctx, "dies", died.results, handle)
    # The worker takes the next one.
    _put(ctx, "next", "print('next')")
    assert _printed(ctx, ctx.get(ctx.om.runtime.job("next").run()).name) == ["next\n"]


def _left(ctx: Context, name: str, results: str, handle: AsyncResult) -> None:
    """Look at the one copy that a run has left which came to no end of its own."""
    [run] = _runs(ctx, name)
    assert (run["status"], run["results"], run["task_id"]) == ("ERROR", results, handle.id)
    assert _printed(ctx, results)[::2] == ["ran\n", ""]


@rule("JOB-007", own_cluster=True, workers={"default": 1})
def killed_worker_leaves_one_copy(ctx: Context) -> None:
    """A notebook whose worker is killed runs again and leaves one copy; where no attempt is left, the copy has what ran, and the kernel is gone.

    A copy for each attempt would show results that no task has.
    """  # noqa: E501
    _held(ctx, "again")
    handle = ctx.om.runtime.job("again").run()
    first = ctx.log.wait("runner", "again")[0]
    ctx.kill(first.pid)
    ctx.log.wait("runner", "again", 2)
    ctx.wait(lambda: not ctx.alive(ctx.log.entries("kernel", "again")[0].pid), "the end of the first kernel")
    assert _runs(ctx, "again") == [], "nothing of an attempt is to be seen before its end"
    ctx.gate("again").open()
    meta = ctx.get(handle)
    assert [run["results"] for run in _runs(ctx, "again")] == [meta.name]
    assert ctx.om.jobs.list("results/again*") == [meta.name]
    assert _printed(ctx, meta.name) == ["ran\n", "", "not reached\n"]
    _held(ctx, "lost")
    handle = ctx.om.runtime.require(retries=0).job("lost").run()
    ctx.kill(ctx.log.wait("runner", "lost")[0].pid)
    ctx.fails(handle, WorkerLost)
    _is_over(ctx, "lost")
    [copy] = ctx.om.jobs.list("results/lost*")
    _left(ctx, "lost", copy, handle)


def _cannot_cancel(ctx: Context) -> None:
    _held(ctx, "goes-on")
    handle = ctx.om.runtime.job("goes-on").run()
    ctx.log.wait("runner", "goes-on")
    ctx.refuses(handle.cancel, Capability.CANCEL_RUNNING)
    ctx.gate("goes-on").open()
    ctx.get(handle)


@rule("JOB-008", own_cluster=True, capability=Capability.CANCEL_RUNNING, refusal=_cannot_cancel)
def cancelled_notebook_stops(ctx: Context) -> None:
    """A notebook that is cancelled stops with its kernel, and its copy has what ran.

    Whoever cancels a notebook wants its worker back, and to see how far it got.
    """
    _held(ctx, "stops")
    handle = ctx.om.runtime.job("stops").run()
    ctx.log.wait("runner", "stops")
    assert handle.cancel()
    ctx.fails(handle, TaskRevoked)
    assert handle.status == "REVOKED"
    _is_over(ctx, "stops")
    [copy] = ctx.wait(lambda: ctx.om.jobs.list("results/stops*"), "the copy")
    _left(ctx, "stops", copy, handle)


@rule("JOB-009", independent=True)
def clear_errors_of_notebooks(ctx: Context) -> None:
    """A kernel that is not installed, and content that is no notebook, fail with an error that says so.

    These are mistakes of set-up, and the message is all that there is to go by.
    """
    import nbformat

    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    node.metadata["kernelspec"] = {"name": "no-such-kernel", "display_name": "None"}
    ctx.om.jobs.put(node, "kernel")
    error = ctx.fails(ctx.om.runtime.job("kernel").run(), JobError)
    assert "no-such-kernel" in str(error)
    assert "python3" in str(error), "it must name the kernels that there are"
    assert ctx.om.jobs.get(error.results).cells[0].execution_count is None
    broken: Sequence[Any] = (nbformat.from_dict({"cells": "none"}), {"cells": []}, "print(1)")
    for content in broken:
        with pytest.raises(SerializationError):
            ctx.om.jobs.put(content, "broken")
    assert not ctx.om.jobs.exists("broken")


@rule("JOB-010", own_cluster=True, workers={"default": 1}, capability=Capability.TIME_LIMIT, refusal=_no_limit)
def endless_output_is_bounded(ctx: Context) -> None:
    """A notebook that prints without end is stopped like any other, and its copy has the beginning and the end, with a note between them.

    Output without end fills disks; what is cut away says so.
    """  # noqa: E501
    _put(ctx, "floods", "print('the beginning')\nn = 0\nwhile True:\n    n += 1\n    print('line', n, '=' * 500)")
    handle = ctx.om.runtime.job("floods").run(timeout=5 * max(1.0, ctx.harness.patience))
    error = ctx.fails(handle, TaskTimeout)
    [text] = _printed(ctx, error.results)
    assert text.startswith("the beginning\n")
    assert len(text) < 1_000_000
    beginning, note, end = text.partition(" characters left out ...]\n")
    assert note, "nothing tells that something is left out"
    kept = [[int(number) for number in re.findall(r"^line (\d+) ", part, re.MULTILINE)] for part in (beginning, end)]
    assert kept[1], "the end of the output is not there"
    assert kept[1][0] > kept[0][-1] + 1
    assert len(handle.logs()) < 1_000_000


@virtualobj
def _copies_of(data: Any = None, result: Any = None, results: Any = None) -> Any:
    """Return the names of the copies that were handed on, or the first argument."""
    if result is not None:
        return result.name
    return [each.name for each in results] if results is not None else data


@rule("JOB-011", rests_on=("CAN-002", "CAN-005"), independent=True)
def notebooks_are_steps(ctx: Context) -> None:
    """A notebook in a canvas sees what it is handed as job['result'], as the reduce step as job['results'], and hands on the Metadata of its copy.

    Notebooks are steps like any other, so that a report can follow a calculation.
    """  # noqa: E501
    _put(ctx, "sees", "print(job.get('param'), job.get('result'), job.get('results'))")
    script = ctx.deploy(_copies_of, "copies")
    with ctx.om.runtime.sequence() as crt:
        crt.script("copies").run("first")
        crt.job("sees").run()
        crt.script("copies").run()
        result = crt.run()
    assert _printed(ctx, ctx.value(result)) == ["None first None\n"]
    with ctx.om.runtime.mapreduce() as crt:
        for number in (1, 2):
            crt.script("copies").run(number)
        crt.job("sees").run("reduces")
        result = crt.run()
    assert _printed(ctx, ctx.get(result).name) == ["reduces None [1, 2]\n"]
    with ctx.om.runtime.mapreduce() as crt:
        for number in (1, 2):
            crt.job("sees").run(number)
        crt.script("copies").run()
        result = crt.run()
    assert [_printed(ctx, name) for name in ctx.value(result)] == [["1 None None\n"], ["2 None None\n"]]
    assert ctx.value(script.run("alone")) == "alone"
