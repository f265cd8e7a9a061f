"""Life cycle: what is opened, replaced, closed, and what is left when a client dies."""

from __future__ import annotations

import threading

import pytest

from omruntime import Omega, OmegaRuntimeLocal
from omruntime.abc import Capability
from omruntime.errors import RuntimeClosed, TaskRevoked, WorkerLost
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held


@rule("LIF-001")
def another_runtime_takes_over(ctx: Context) -> None:
    """om.runtime = other moves new work; results of the old one can still be had.

    The engine is swapped in the middle of a program; what was begun is finished, and found.
    """
    om, gate = ctx.omega(ctx.own_runtime()), ctx.gate()
    log = str(ctx.log)
    ctx.deploy(held)
    done = om.runtime.script("held").run("done", log=log, name="old")
    assert ctx.value(done) == "done"
    running = om.runtime.script("held").run("running", log=log, name="old", gate=str(gate))
    ctx.log.wait("start", "old", 2)
    other = OmegaRuntimeLocal(workers={"default": 1}, auth=ctx.auth)
    om.runtime = other
    new = [om.runtime.script("held").run(number, log=log, name="new") for number in range(3)]
    assert [ctx.value(handle) for handle in new] == [0, 1, 2]
    gate.open()
    assert ctx.value(running) == "running"
    assert [ctx.value(om.runtime.result(handle.id)) for handle in (done, running)] == ["done", "running"]
    old_pids = {entry.pid for entry in ctx.log.starts("old")}
    new_pids = {entry.pid for entry in ctx.log.starts("new")}
    assert len(ctx.log.starts()) == 5
    assert len(new_pids) == 1
    assert not old_pids & new_pids
    assert {worker.pid for worker in om.runtime.workers()} == {worker.pid for worker in other.workers()}


_OPENS_AND_CLOSES = """
import os, subprocess, tempfile, threading

def descriptors():
    found = set()
    for name in os.listdir("/dev/fd"):
        try:
            found.add((name, os.readlink("/dev/fd/" + name)))
        except OSError:
            pass  # the listing's own
    return found

def children():
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    return sorted(row[2] for row in rows if row[1] == str(os.getpid()) and not row[2].startswith("ps"))

def state():
    return {
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "children": children(),
        "descriptors": sorted(map(str, descriptors())),
        "files": sorted(os.listdir(tempfile.gettempdir())),
    }

before = state()
for round in range(2):
    om = Omega()
    handles = [om.runtime.script("held").run(number, log=argv[0]) for number in range(4)]
    view = om["other"]
    view.close()
    got = [handle.get(timeout=60)["result"] for handle in handles]
    om.close()
    om.close()
    try:
        om.runtime.script("held").run(log=argv[0])
    except errors.RuntimeClosed as exc:
        refused = type(exc).__name__
    answer([got, refused, before, state()])
"""


@rule("LIF-002")
def close_leaves_nothing(ctx: Context) -> None:
    """close() leaves no process, thread, socket or file behind, and works twice.

    Services open and close for months. Look for processes of the engine, threads, sockets and directories that a
    private cluster leaves.
    """
    ctx.deploy(held)
    client = ctx.subprocess(_OPENS_AND_CLOSES, ctx.log, runtime=ctx.private_url)
    for number in (1, 2):
        got, refused, before, after = client.answer(number)
        assert (got, refused) == ([0, 1, 2, 3], "RuntimeClosed")
        assert after == before
    client.exit()
    pids = {entry.pid for entry in ctx.log.starts()}
    assert pids
    ctx.wait(lambda: not any(ctx.alive(pid) for pid in pids), f"the end of the workers {pids}")


@rule("LIF-003")
def side_by_side(ctx: Context) -> None:
    """Two runtimes, of different engines too, work side by side in one process (Ray: one cluster per process, a second address is refused).

    A program tries a new engine beside the old one. Look for state in modules: a connection, a port, a signal
    handler.
    """  # noqa: E501
    log = str(ctx.log)
    om = ctx.om
    second = ctx.omega("local://", store=ctx.stores.url("second-store"))
    gate = ctx.gate()
    handles = []
    for name, each in (("first", om), ("second", second)):
        each.scripts.put(held, "held")
        script = each.runtime.script("held")
        handles.append([script.run(f"{name}-{n}", log=log, name=name, gate=str(gate)) for n in range(3)])
    # Both hold a task at the same time, so neither can have waited for the other.
    ctx.log.wait("start", "first")
    ctx.log.wait("start", "second")
    gate.open()
    for name, own in zip(("first", "second"), handles, strict=True):
        assert [ctx.value(handle) for handle in own] == [f"{name}-{n}" for n in range(3)]
    first_pids, second_pids = ({entry.pid for entry in ctx.log.starts(name)} for name in ("first", "second"))
    assert not first_pids & second_pids
    second.close()
    assert ctx.value(om.runtime.script("held").run("still there", log=log)) == "still there"


@rule("LIF-004", without=Capability.DETACHED)
def close_without_detached(ctx: Context) -> None:
    """Without DETACHED, close() waits for open tasks, close(wait=False) revokes them, and those of a killed client end as WorkerLost.

    It is an executor's way to end: nothing that was asked for is lost unless somebody says so, and nothing is left
    open for ever.
    """  # noqa: E501
    ctx.deploy(held)
    _close_waits(ctx)
    _close_at_once(ctx)
    _exit_waits(ctx)
    _close_revokes(ctx)
    _killed_client(ctx)


def _private(ctx: Context) -> Omega:
    return ctx.omega(ctx.private_runtime(workers={"default": 1}))


def _close_waits(ctx: Context) -> None:
    om, gate = _private(ctx), ctx.gate("close")
    script = om.runtime.script("held")
    handles = [script.run(number, log=str(ctx.log), name="waited for", gate=str(gate)) for number in range(3)]
    ctx.log.wait("start", "waited for")
    closing = threading.Thread(target=om.close)
    closing.start()
    ctx.wait(lambda: _refuses_work(om), "close() to begin")
    assert closing.is_alive()
    gate.open()
    closing.join(ctx.wait.seconds)
    assert not closing.is_alive()
    found = [ctx.om.runtime.result(handle.id) for handle in handles]
    assert [handle.status for handle in found] == ["SUCCESS"] * 3
    assert [ctx.value(handle) for handle in found] == [0, 1, 2]


def _close_at_once(ctx: Context) -> None:
    """Close while the calls are on their way to the worker."""
    om = _private(ctx)
    handles = [om.runtime.script("held").run(number, log=str(ctx.log), name="at once") for number in range(10)]
    om.close()
    found = [ctx.om.runtime.result(handle.id) for handle in handles]
    assert [handle.status for handle in found] == ["SUCCESS"] * 10
    assert [ctx.value(handle) for handle in found] == [*range(10)]


def _refuses_work(om: Omega) -> bool:
    try:
        om.runtime.workers()
    except RuntimeClosed:
        return True
    return False


_EXITS = """
om = Omega()
script = om.runtime.script("held")
answer([script.run(number, log=argv[0], name="exit", gate=argv[1]).id for number in range(3)])
"""


def _exit_waits(ctx: Context) -> None:
    gate = ctx.gate("exit")
    client = ctx.subprocess(_EXITS, ctx.log, gate, runtime=ctx.private_url)
    ids = client.answer()
    ctx.log.wait("start", "exit")
    gate.open()
    client.exit()
    found = [ctx.om.runtime.result(id) for id in ids]
    assert [handle.status for handle in found] == ["SUCCESS"] * 3
    assert [ctx.value(handle) for handle in found] == [0, 1, 2]


def _close_revokes(ctx: Context) -> None:
    om, gate = _private(ctx), ctx.gate("revoke")
    script = om.runtime.script("held")
    handles = [script.run(number, log=str(ctx.log), name="revoked", gate=str(gate)) for number in range(2)]
    pid = ctx.log.wait("start", "revoked")[0].pid
    om.close(wait=False)
    for handle in handles:
        found = ctx.om.runtime.result(handle.id)
        ctx.fails(found, TaskRevoked)
        assert found.status == "REVOKED"
    ctx.wait(lambda: not ctx.alive(pid), "the end of the process of a revoked task")
    assert not ctx.log.entries("end", "revoked")
    assert len(ctx.log.starts("revoked")) == 1


_WAITS = """
om = Omega()
script = om.runtime.script("held")
answer([script.run(number, log=argv[0], name="orphan", gate=argv[1]).id for number in range(10)])
import threading
threading.Event().wait()
"""


def _killed_client(ctx: Context) -> None:
    gate = ctx.gate("orphan")
    client = ctx.subprocess(_WAITS, ctx.log, gate, runtime=ctx.private_url)
    ids = client.answer()
    pids = {entry.pid for entry in ctx.log.wait("start", "orphan")}
    client.kill()
    for id in ids:
        handle = ctx.om.runtime.result(id)
        error = ctx.fails(handle, WorkerLost)
        assert "runtime ended" in str(error)
        assert handle.status == "FAILURE"
    ctx.wait(lambda: not any(ctx.alive(pid) for pid in pids), "the end of the killed client's workers")
    with pytest.raises(WorkerLost):
        ctx.get(ctx.om.runtime.result(ids[0]))
    assert not ctx.log.entries("end", "orphan")
