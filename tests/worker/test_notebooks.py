"""Notebooks on real kernels: where these live and end, what they are told, and what a run leaves."""

from __future__ import annotations

import errno
import json
import os
import signal
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from omruntime import AsyncResult, Omega, OmegaRuntimeLocal
from omruntime.errors import JobError, TaskError, WorkerLost
from tests.worker.gates import Gate, alive, eventually


def put(om: Omega, name: str, *cells: str, kernel: str = "python3") -> None:
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    node.metadata["kernelspec"] = {"name": kernel, "display_name": kernel}
    om.jobs.put(node, name)


def printed(om: Omega, name: str) -> list[str]:
    cells = om.jobs.get(name).cells
    return ["".join(each.get("text", "") for each in cell.outputs) for cell in cells]


def answer(om: Omega, name: str, **require: Any) -> Any:
    """Run a notebook, and return what its last cell has printed as JSON."""
    meta = om.runtime.require(**require).job(name).run().get(60)
    return json.loads(printed(om, meta.name)[-1])


def failed(handle: AsyncResult) -> JobError:
    with pytest.raises(JobError) as caught:
        handle.get(60)
    return caught.value


def children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in lists for child in each.read_text().split()]


def runner_of(om: Omega) -> int:
    (worker,) = om.runtime.workers()
    return worker.pid


# -- kernels -----------------------------------------------------------------------------------------------------


def test_a_kernel_is_in_the_group_of_its_runner_and_never_used_twice(om: Omega) -> None:
    put(
        om,
        "where",
        "import json, os\nseen = [os.getpid(), os.getppid(), os.getpgrp(), 'left' in globals()]\nleft = 1",
        "print(json.dumps(seen))",
    )
    seen = []
    for _ in range(2):
        seen.append(answer(om, "where"))
        eventually(lambda: children(runner_of(om)), "the kernel that is started ahead")
        assert children(runner_of(om)) != [seen[-1][0]]
        seen.append(children(runner_of(om)))
    first, ahead, second, _ = seen
    assert [second[0]] == ahead, "the kernel that was started ahead is the one that is used"
    assert first[0] != second[0]
    for _, parent, group, was_there in (first, second):
        assert parent == group == runner_of(om)
        assert was_there is False
    eventually(lambda: not alive(first[0]), "the end of the first kernel")


def test_a_kernel_that_was_started_ahead_ends_with_its_runner(om: Omega) -> None:
    put(om, "one", "1")
    om.runtime.job("one").run().get(60)
    runner = runner_of(om)
    eventually(lambda: children(runner), "the kernel that is started ahead")
    (kernel,) = children(runner)
    om.close()
    assert not alive(runner)
    eventually(lambda: not alive(kernel), "the end of the kernel")


def test_a_kernel_that_died_before_its_turn_is_no_loss(om: Omega) -> None:
    put(om, "one", "print(1)")
    om.runtime.job("one").run().get(60)
    eventually(lambda: children(runner_of(om)), "the kernel that is started ahead")
    (kernel,) = children(runner_of(om))
    os.kill(kernel, signal.SIGKILL)
    eventually(lambda: not alive(kernel), "the end of the kernel")
    assert answer(om, "one") == 1


def test_a_notebook_of_another_kernel_does_not_get_the_one_that_was_started_ahead(
    store_url: str, tmp_path: Path
) -> None:
    import ipykernel.kernelspec

    ipykernel.kernelspec.install(prefix=str(tmp_path), kernel_name="other")
    env = {"JUPYTER_PATH": str(tmp_path / "share" / "jupyter")}
    with Omega(store_url, OmegaRuntimeLocal(workers=1, env=env)) as om:
        put(om, "one", "print(1)")
        put(om, "two", "print(2)", kernel="other")
        assert [answer(om, name) for name in ("one", "two", "one")] == [1, 2, 1]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"argv": ["false", "{connection_file}"], "language": "python"}, r"exited with code 1 before it was ready"),
        ({"argv": ["no-such-program-anywhere"], "language": "python"}, r"cannot be started: .*no-such-program"),
        ({"argv": ["sleep", "60"], "language": "bash"}, "only such a one takes parameters"),
        ({"metadata": {"kernel_provisioner": {"provisioner_name": "far"}}}, "provisioner of its own"),
    ],
)
def test_a_kernel_that_is_of_no_use_is_told(
    store_url: str, tmp_path: Path, spec: dict[str, Any], message: str
) -> None:
    place = tmp_path / "kernels" / "odd"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(
        json.dumps({"argv": ["true"], "display_name": "odd", "language": "odd", **spec})
    )
    with Omega(store_url, OmegaRuntimeLocal(workers=1, env={"JUPYTER_PATH": str(tmp_path)})) as om:
        put(om, "odd", "1", kernel="odd")
        error = failed(om.runtime.job("odd").run(1))
        assert error.cell is None
        with pytest.raises(JobError, match=message):
            raise error
        assert om.jobs.metadata(error.results).attributes["job_run"]["status"] == "ERROR"
        put(om, "one", "print(1)")
        assert answer(om, "one") == 1


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os; os._exit(7)", "exited with code 7"),
        ("import os; os.kill(os.getpid(), 11)", "was killed by SIGSEGV"),
    ],
)
def test_how_a_kernel_died_is_told(om: Omega, code: str, how: str) -> None:
    put(om, "dies", "print('ran')", code, "print('not reached')")
    error = failed(om.runtime.job("dies").run())
    assert how in str(error)
    assert error.cell == 1
    assert printed(om, error.results) == ["ran\n", "", ""]


def test_a_kernel_that_will_not_end_is_ended(om: Omega) -> None:
    put(om, "stays", "import atexit, os, threading\natexit.register(threading.Event().wait)\nprint(os.getpid())")
    kernel = answer(om, "stays")
    assert not alive(kernel)


# -- what a notebook finds ---------------------------------------------------------------------------------------


def test_a_notebook_has_the_store_and_the_keys_and_no_key_in_sight(om: Omega) -> None:
    om.datasets.put({"complex": 1 + 2j}, "signed")
    put(
        om,
        "looks",
        "import json, os\nfrom pathlib import Path\nfrom omruntime import Omega\nom = Omega()\n"
        "found = om.datasets.get('signed')\nom.datasets.put([found['complex'].imag], 'made')\n"
        "sight = [Path('/proc/self', file).read_text() for file in ('environ', 'cmdline')]\n"
        "sight.append(str(dict(os.environ)))\n"
        "print(json.dumps([sight, os.listdir('.'), [name for name in globals() if name.startswith('_om')]]))",
    )
    sight, files, names = answer(om, "looks")
    assert om.datasets.get("made") == [2.0]
    secret = om.runtime.auth.secret()
    assert not any(secret in text for text in sight)
    assert (files, names) == ([], [])


def test_a_notebook_leaves_its_runner_as_it_was(om: Omega) -> None:
    put(om, "changes", "import os\nos.environ['LEFT'] = 'x'\nopen('file', 'w').close()\nprint(1)")
    assert answer(om, "changes") == 1
    look = (
        "import asyncio, os\nanswer = [os.environ.get('LEFT'), os.listdir('.'), asyncio.run(asyncio.sleep(0, 'ran'))]"
    )
    assert om.runtime.script("shell").run(look).get(60)["result"] == [None, [], "ran"]
    assert answer(om, "changes") == 1


# -- errors ------------------------------------------------------------------------------------------------------


def test_what_a_cell_raised_comes_with_its_type_its_traceback_and_its_causes(om: Omega) -> None:
    put(
        om,
        "raises",
        "class Own(Exception):\n    pass\n\ndef deep():\n    raise KeyError('cause')",
        "try:\n    deep()\nexcept KeyError as exc:\n    raise Own('own', 2) from exc",
    )
    handle = om.runtime.job("raises").run()
    error = failed(handle)
    cause: Any = error.__cause__
    assert (type(cause).__name__, cause.args) == ("Own", ("own", 2))
    assert "line 4" in str(cause.__cause__)
    assert "IPython" not in str(cause.__cause__)
    assert cause.__cause__.__cause__.args == ("cause",)
    assert handle.traceback == cause.__cause__.text
    assert "\x1b" not in str(error)


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "raise KeyboardInterrupt"])
def test_exits_of_a_cell_are_named_and_end_nobody_else(om: Omega, code: str) -> None:
    put(om, "exits", code)
    error = failed(om.runtime.job("exits").run())
    assert isinstance(error.__cause__, TaskError)
    assert code.removeprefix("raise ").partition("(")[0] in str(error)


def test_an_error_that_a_cell_is_tagged_for_is_none(om: Omega) -> None:
    node = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]}),
            nbformat.v4.new_code_cell("print(2)"),
        ]
    )
    om.jobs.put(node, "tagged")
    assert answer(om, "tagged") == 2


# -- copies ------------------------------------------------------------------------------------------------------


def test_a_cell_that_ran_is_kept_though_the_next_one_kills_the_worker_at_once(om: Omega) -> None:
    put(om, "deadly", "print('ran')", "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)", "print('no')")
    handle = om.runtime.require(retries=0).job("deadly").run()
    with pytest.raises(WorkerLost) as caught:
        handle.get(60)
    (copy,) = om.jobs.list("results/*")
    assert copy in str(caught.value)
    assert printed(om, copy) == ["ran\n", "", ""]
    assert om.jobs.metadata(copy).attributes["job_run"]["message"] == "it was stopped after cell 0"


def test_what_a_long_cell_has_printed_is_kept_while_it_runs(om: Omega, gate: Gate, tmp_path: Path) -> None:
    code = f"print('so' + ' far', flush=True)\nopen({gate.started!r}, 'w').write(str(__import__('os').getppid()))\n"
    put(om, "long", code + f"open({gate.goes_on!r}).read()")
    handle = om.runtime.require(retries=0).job("long").run()
    runner = gate.wait_for_start()
    staged: Callable[[], bool] = lambda: "so far" in str(peek(om))  # noqa: E731
    eventually(staged, "what was printed, in the staged copy")
    os.kill(runner, signal.SIGKILL)
    with pytest.raises(WorkerLost):
        handle.get(60)
    (copy,) = om.jobs.list("results/*")
    assert printed(om, copy) == ["so far\n"]


def peek(om: Omega) -> Any:
    """Return the cells of the copy that is not current yet."""
    from omruntime.abc import Space
    from omruntime.store.records import row_of

    rows = [row_of(*each).record for each in om.store.scan(Space.OBJECTS, "default\x1fjobs/\x1fresults/")]
    tasks = {(record.task, record.attempt) for record in rows if record.staged}
    for task, attempt in tasks:
        view = om.jobs.staged(task, attempt)
        return [view.get(name).cells for name in view.list("results/*")]
    return []


def test_attempts_that_failed_leave_no_copy_where_a_later_one_succeeds(om: Omega, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    put(
        om,
        "second",
        f"import os\nif not os.path.exists({mark!r}):\n    open({mark!r}, 'w').close()\n    1 / 0\nprint(2)",
    )
    before = len(list(om.store.blobs("o-")))
    assert answer(om, "second", retries=1) == 2
    assert len(om.jobs.list("results/*")) == 1
    assert len(list(om.store.blobs("o-"))) <= before + 4, (
        "one before the first cell, and one at the end, of each attempt"
    )


def test_runs_at_once_and_a_name_as_it_was_called(om: Omega) -> None:
    put(om, "n", "print(1)")
    put(om, "n_2", "print(2)")
    for name in ("n", "n.ipynb", "n_2"):
        meta = om.runtime.job(name).run().get(60)
        assert meta.name.startswith(f"results/{name.removesuffix('.ipynb')}_2")
        assert meta.attributes["source_job"] == name
    assert len(om.jobs.metadata("n").attributes["job_runs"]) == 2
    assert len(om.jobs.metadata("n_2").attributes["job_runs"]) == 1
    meta = om.jobs.metadata("n")
    meta.attributes["note"] = "kept"
    meta.save()
    om.runtime.job("n").run().get(60)
    attributes = om.jobs.metadata("n").attributes
    assert (attributes["note"], len(attributes["job_runs"])) == ("kept", 3)
    assert "job_runs" not in om.jobs.list("n", raw=True)[0].attributes


def test_what_a_kernel_logs_of_sockets_that_it_has_closed_is_no_output(om: Omega) -> None:
    cell = """
        import errno, logging
        for number in (errno.ENOTSOCK, errno.EIO):
            try:
                raise OSError(number, "of no use")
            except OSError:
                logging.getLogger("tornado.general").exception("number %s", number)
    """
    put(om, "farewell", textwrap.dedent(cell))
    handle = om.runtime.job("farewell").run()
    meta = handle.get(60)
    # Where a kernel's own log goes is the kernel's business: either is what the user looks at.
    text = "".join(printed(om, meta.name)) + handle.logs()
    assert f"number {errno.EIO}" in text
    assert f"number {errno.ENOTSOCK}" not in text
