"""What is this engine's alone: its files, its own worker process, and workers that die at the wrong moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from omruntime_spool import OmegaRuntimeSpool
from omruntime_spool.backend import SpoolBackend

from omruntime import Auth, Omega, virtualobj
from omruntime.abc import Call
from omruntime.errors import BackendUnavailable, TaskRevoked, UnsupportedCapability, WorkerLost

AUTH = Auth("tests", "a key of these tests")
CALL = Call("task", "script.run echo", "gpu", (b"head",))


@virtualobj
def echo(data: object = None, gate: str = "") -> object:
    """Wait at the gate, where there is one, and return the first argument."""
    import os
    import time

    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    return data


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"never seen: {what}"
        threading.Event().wait(0.01)


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SpoolBackend]:
    made = SpoolBackend.open(f"spool://{tmp_path}")
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store"


@pytest.fixture
def alone(store: str) -> Iterator[Omega]:
    """An engine of its own, with one worker."""
    om = Omega(store, OmegaRuntimeSpool(workers=1, env={"OMRUNTIME_LEASE": "1"}, auth=AUTH), auth=AUTH)
    om.scripts.put(echo, "echo")
    yield om
    om.close(wait=False)


def test_a_call_appears_whole_where_workers_of_its_label_look(backend: SpoolBackend, tmp_path: Path) -> None:
    future = backend.submit(CALL)
    (name,) = files(tmp_path / "queue")
    assert name.startswith("=gpu/task.")
    backend.close()
    assert future.result(0) == b"", "the ledger tells what becomes of it"
    assert files(tmp_path / "queue") == [name]
    assert files(tmp_path / "members") == []


@pytest.mark.parametrize("label", ["..", "a/b", "gr\u00fcn,rot"])
def test_a_label_is_no_path(backend: SpoolBackend, tmp_path: Path, label: str) -> None:
    backend.forward(Call("task", "script.run echo", label, (b"head",)))
    (name,) = files(tmp_path / "queue")
    assert name.count("/") == 1


def test_what_a_dead_member_has_left_is_cleared_away(backend: SpoolBackend, tmp_path: Path) -> None:
    program = f"""
import os
from omruntime_spool.backend import SpoolBackend
SpoolBackend.open("spool://{tmp_path}").announce([])
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert len(list((tmp_path / "members").iterdir())) == 2
    assert backend.workers() == []
    assert len(list((tmp_path / "members").iterdir())) == 1


def test_a_queue_that_was_made_again_has_another_life(backend: SpoolBackend, tmp_path: Path) -> None:
    first = backend.incarnation()
    assert backend.incarnation() == first
    (tmp_path / "queue").rename(tmp_path / "lost")
    with pytest.raises(BackendUnavailable, match="queue"):
        backend.incarnation()
    (tmp_path / "queue").mkdir()
    assert backend.incarnation() != first


def test_a_directory_that_is_not_there_is_no_engine(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="nowhere"):
        OmegaRuntimeSpool(f"spool://{tmp_path}/nowhere", auth=AUTH)


def test_workers_of_others_are_not_ours_to_start(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="omruntime worker"):
        OmegaRuntimeSpool(f"spool://{tmp_path}", workers=2, auth=AUTH)
    with pytest.raises(TypeError, match="takes no speed"):
        OmegaRuntimeSpool(f"spool://{tmp_path}", speed=2, auth=AUTH)
    with OmegaRuntimeSpool(f"spool://{tmp_path}", auth=AUTH) as runtime, pytest.raises(UnsupportedCapability):
        runtime.scale({"gpu": 1})


def test_a_worker_of_our_own_is_scaled_and_ends_when_its_tasks_are_over(alone: Omega, tmp_path: Path) -> None:
    alone.runtime.scale({"gpu": 1})
    assert sorted(alone.runtime.labels().values()) == [["default"], ["gpu"]]
    gate = tmp_path / "gate"
    handles = [alone.runtime.require(label).script("echo").run(7, gate=str(gate)) for label in ("gpu", "default")]
    pids = [worker.pid for worker in alone.runtime.workers()]
    closing = threading.Thread(target=alone.close)
    closing.start()
    gate.touch()
    closing.join(60)
    with Omega(alone.store.url if not alone.session.closed else f"sqlite:///{tmp_path}/store", auth=AUTH) as later:
        assert [later.runtime.result(handle.id).get(60)["result"] for handle in handles] == [7, 7]
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "the end of the workers")


def test_a_worker_of_our_own_that_is_not_waited_for_revokes(alone: Omega, store: str, tmp_path: Path) -> None:
    handle = alone.runtime.script("echo").run(7, gate=str(tmp_path / "never"))
    eventually(lambda: handle.status == "STARTED", "the start of the task")
    alone.close(wait=False)
    with Omega(store, auth=AUTH) as later, pytest.raises(TaskRevoked):
        later.runtime.result(handle.id).get(60)


def test_tasks_end_with_a_worker_of_our_own_that_was_killed(alone: Omega, tmp_path: Path) -> None:
    handle = alone.runtime.script("echo").run(7, gate=str(tmp_path / "never"))
    eventually(lambda: handle.status == "STARTED", "the start of the task")
    os.kill(alone.runtime.backend._worker._process.pid, signal.SIGKILL)
    with pytest.raises(WorkerLost, match="runtime ended"):
        handle.get(60)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, working for a directory."""
    environment = {**os.environ, "OMRUNTIME_KEY": AUTH.secret(), "OMRUNTIME_LEASE": "1"}
    command = [
        "-m",
        "omruntime",
        "worker",
        "--runtime",
        f"spool://{tmp_path}",
        "--label",
        "gpu",
        "--concurrency",
        "2",
    ]
    with subprocess.Popen([sys.executable, *command], env=environment, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_worker_that_is_told_to_end_finishes_its_task(
    worker: subprocess.Popen[str], store: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with Omega(store, OmegaRuntimeSpool(f"spool://{tmp_path}", auth=AUTH), auth=AUTH) as om:
        om.scripts.put(echo, "echo")
        eventually(lambda: sorted(om.runtime.labels().values()) == [["gpu"], ["gpu"]], "two slots")
        runtime = om.runtime.require("gpu")
        running = runtime.script("echo").run("running", gate=str(gate))
        eventually(lambda: running.status == "STARTED", "the start of the task")
        worker.send_signal(signal.SIGTERM)
        assert worker.stderr is not None
        eventually(lambda: "no more calls" in worker.stderr.readline(), "that it takes no more calls")  # type: ignore[union-attr]
        late = runtime.script("echo").run("late")
        gate.touch()
        assert running.get(60)["result"] == "running"
        assert worker.wait(60) == 0
        assert om.runtime.labels() == {}
        assert late.status == "PENDING"


def test_a_worker_ends_as_it_is_told_to_where_nobody_reads_any_more_what_it_says(
    worker: subprocess.Popen[str],
) -> None:
    assert worker.stderr is not None
    assert "work for" in worker.stderr.readline()
    worker.stderr.close()
    worker.terminate()
    assert worker.wait(60) == 0


def test_what_the_queue_has_lost_a_steward_sends_again_where_no_worker_knows_the_store(
    store: str, tmp_path: Path
) -> None:
    url = f"spool://{tmp_path}"
    environment = {**os.environ, "OMRUNTIME_KEY": AUTH.secret(), "OMRUNTIME_LEASE": "1"}
    omruntime = [sys.executable, "-m", "omruntime"]
    with Omega(store, OmegaRuntimeSpool(url, auth=AUTH), auth=AUTH) as om:
        om.scripts.put(echo, "echo")
        lost = om.runtime.require("gpu").script("echo").run(3)
        (tmp_path / "queue").rename(tmp_path / "lost")
        (tmp_path / "queue").mkdir()
        processes = [
            subprocess.Popen([*omruntime, "worker", "--runtime", url, "--label", "gpu"], env=environment),
            subprocess.Popen([*omruntime, "steward", "--runtime", url, "--store", store], env=environment),
        ]
        try:
            eventually(om.runtime.labels, "the worker")
            assert lost.get(60)["result"] == 3
        finally:
            for process in processes:
                process.kill()
                process.wait()


def test_a_call_that_was_taken_by_a_worker_which_died_is_sent_again(
    worker: subprocess.Popen[str], store: str, tmp_path: Path
) -> None:
    with Omega(store, OmegaRuntimeSpool(f"spool://{tmp_path}", auth=AUTH), auth=AUTH) as om:
        om.scripts.put(echo, "echo")
        runtime = om.runtime.require("gpu")
        eventually(om.runtime.labels, "the worker")
        # So that the worker looks after this store.
        assert runtime.script("echo").run(1).get(60)["result"] == 1
        worker.send_signal(signal.SIGSTOP)
        lost = runtime.script("echo").run(2)
        (call,) = (tmp_path / "queue" / "=gpu").iterdir()
        call.unlink()
        worker.send_signal(signal.SIGCONT)
        # Six lease periods later a steward sends what nobody has claimed.
        assert lost.get(60)["result"] == 2
