"""Labels: what a task requires of its worker, and which workers there are."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from omruntime import AsyncResult, OmegaRuntime, virtualobj
from omruntime.errors import NoSuchLabel, NoSuchLabelWarning, ResultTimeout, UnsupportedCapability
from omruntime_conformance.context import Context, NotExercised
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held, note

_LABELLED = {"default": 1, "gpu": 1, "big,gpu": 1}


def _scale(ctx: Context, workers: Mapping[str, int]) -> None:
    """Have workers join and leave by whoever starts them, or by the engine itself."""
    if ctx.harness.starts_workers():
        ctx.harness.scale(workers)
        return
    try:
        ctx.om.runtime.scale(workers)
    except UnsupportedCapability as exc:
        raise NotExercised(f"no worker can be made to join: {exc}") from exc
    there = [frozenset(labels) for labels in ctx.om.runtime.labels().values()]
    late = [label for label, count in workers.items() if there.count(frozenset(label.split(","))) < count]
    assert not late, f"scale() has returned, and labels() does not show the new workers with {late} yet"


def _start(ctx: Context, runtime: OmegaRuntime, name: str, gate: object = "") -> AsyncResult:
    return runtime.script("held").run(name, log=str(ctx.log), name=name, gate=str(gate))


@rule("LBL-001", workers=_LABELLED)
def a_task_runs_where_its_label_is(ctx: Context) -> None:
    """A task runs on a worker that has its label, always, also inside canvases.

    A label stands for a GPU, a licence, or a country that data may not leave. A task elsewhere is not slower but
    wrong.
    """
    ctx.deploy(held)
    runtime = ctx.om.runtime
    wanted = {"none": None, "gpu": "gpu", "big": "big", "both": "gpu, big", "swapped": "big,gpu", "given": "default"}
    handles = [_start(ctx, runtime.require(label), name) for name, label in wanted.items() for _ in range(10)]
    for handle in handles:
        ctx.get(handle)
    for name, label in wanted.items():
        needed = {part.strip() for part in (label or "default").split(",")}
        entries = ctx.log.starts(name)
        assert len(entries) == 10
        for entry in entries:
            assert needed <= ctx.labels_of(entry), f"a task that needs {needed} ran on a worker without"
    _full_workers_are_waited_for(ctx)


def _full_workers_are_waited_for(ctx: Context) -> None:
    """While all workers of a label are busy its tasks wait, though others are idle."""
    with ctx.busy("gpu"):
        waiting = _start(ctx, ctx.om.runtime.require("gpu"), "waiting")
        assert ctx.value(_start(ctx, ctx.om.runtime, "beside")) == "beside"
        assert waiting.status == "PENDING"
    assert ctx.value(waiting) == "waiting"
    assert all("gpu" in ctx.labels_of(entry) for entry in ctx.log.starts("waiting"))


@rule("LBL-002", workers=_LABELLED, own_cluster=True, exact=True)
def labels_shows_who_is_there(ctx: Context) -> None:
    """labels() shows every live worker with its labels; joins and clean leaves within a second, kills within the lease.

    It is how an operator sees who works, and how a user learns why a task waits.
    """  # noqa: E501
    runtime = ctx.om.runtime

    def shown() -> list[list[str]]:
        return sorted(runtime.labels().values())

    assert shown() == [["big", "gpu"], ["default"], ["gpu"]]
    assert {name.partition("@")[0] for name in runtime.labels()} == {runtime.backend.name}
    assert runtime.labels() == {each.name: list(each.labels) for each in runtime.workers()}
    ctx.deploy(held)
    gate = ctx.gate()
    busy = _start(ctx, runtime.require("big"), "killed", gate)
    ctx.log.wait("start", "killed")
    assert shown() == [["big", "gpu"], ["default"], ["gpu"]], "whoever is busy is there as well"
    gate.open()
    ctx.value(busy)
    pid = ctx.log.starts("killed")[0].pid
    ctx.kill(pid)
    ctx.wait(lambda: shown() == [["big", "gpu"], ["default"], ["gpu"]], "a worker in the place of the killed one")
    assert ctx.value(_start(ctx, runtime.require("big"), "next")) == "next"
    assert ctx.log.starts("next")[0].pid != pid
    _scale(ctx, {"gpu": 2, "new": 1})
    ctx.wait(lambda: shown() == [["big", "gpu"], ["default"], ["gpu"], ["gpu"], ["new"]], "those who have joined")
    _scale(ctx, {"gpu": 0, "new": 0})
    ctx.wait(lambda: shown() == [["big", "gpu"], ["default"]], "the end of those who have left")


@rule("LBL-003", workers=_LABELLED, independent=True)
def require_derives(ctx: Context) -> None:
    """require() affects the derived runtime only; two threads never see each other's.

    A require() that changes the shared runtime sends another thread's task to the wrong machine.
    """
    ctx.deploy(held)
    runtime = ctx.om.runtime
    gpu = runtime.require("gpu")
    both = gpu.require("gpu,big", retries=1)
    assert ctx.value(_start(ctx, both, "both")) == "both"
    assert ctx.value(_start(ctx, gpu, "gpu")) == "gpu"
    assert ctx.value(_start(ctx, runtime, "plain")) == "plain"
    assert ctx.value(_start(ctx, ctx.om.runtime, "plain")) == "plain"
    assert ctx.labels_of(ctx.log.starts("both")[0]) >= {"big", "gpu"}
    assert "gpu" in ctx.labels_of(ctx.log.starts("gpu")[0])
    plain = [ctx.labels_of(entry) for entry in ctx.log.starts("plain")]
    what = "what was required of a derived runtime holds for the one it is derived from"
    assert all("default" in labels for labels in plain), f"{what}: {plain}"
    together = threading.Barrier(3, timeout=ctx.wait.seconds)

    def one_thread(label: str) -> None:
        for _ in range(10):
            derived = ctx.om.runtime.require(label)
            together.wait()
            ctx.get(_start(ctx, derived, f"thread {label}"))

    names = ("default", "gpu", "big")
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(one_thread, name) for name in names]:
            done.result()
    for label in names:
        ran_on = [ctx.labels_of(entry) for entry in ctx.log.starts(f"thread {label}")]
        assert all(label in labels for labels in ran_on), f"required {label}, ran on {ran_on}"


@rule("LBL-004", workers=_LABELLED, independent=True)
def stored_and_lasting_labels(ctx: Context) -> None:
    """require(always=True) stays; a label stored with the object is used unless the call names one.

    A model that needs a GPU says so once; the call has the last word.
    """
    ctx.deploy(held)
    om = ctx.omega(ctx.om.runtime)
    meta = om.scripts.put(held, "stored")
    meta.attributes["require"] = {"label": "gpu,big"}
    meta.save()

    def ran_on(runtime: OmegaRuntime, script: str, name: str) -> set[str]:
        ctx.get(runtime.script(script).run(name, log=str(ctx.log), name=name))
        return ctx.labels_of(ctx.log.starts(name)[-1])

    assert ran_on(om.runtime, "stored", "as stored") >= {"big", "gpu"}
    assert "default" in ran_on(om.runtime, "held", "beside it")
    assert "default" in ran_on(om.runtime.require("default"), "stored", "as called")
    # What says nothing of a label leaves the stored one as it is.
    assert ran_on(om.runtime.require(retries=1), "stored", "as stored too") >= {"big", "gpu"}
    om.runtime.require("gpu", always=True)
    for round in range(3):
        assert "gpu" in ran_on(om.runtime, "held", f"always {round}")
    assert "default" in ran_on(om.runtime.require("default"), "held", "but not here")
    assert "default" in ran_on(om.runtime.require("default"), "stored", "nor here")
    assert "default" in ran_on(ctx.om.runtime, "held", "elsewhere")
    om.runtime.require("default", always=True)
    assert "default" in ran_on(om.runtime, "stored", "what always holds is stronger than what is stored")


@rule("LBL-005", own_cluster=True)
def a_missing_label_is_waited_for(ctx: Context) -> None:
    """A task whose label no worker has stays PENDING and runs when such a worker joins.

    Machines come late and come back. A task for them waits without an error, and begins without anybody's doing.
    """
    ctx.deploy(held)
    runtime = ctx.om.runtime
    waiting = [_start(ctx, runtime.require("rare"), "waiting") for _ in range(2)]
    partly = _start(ctx, runtime.require("default,rare"), "partly")
    with pytest.warns(NoSuchLabelWarning, match="'rare'.*default"), pytest.raises(ResultTimeout):
        waiting[0].get(timeout=1.5)
    assert ctx.value(_start(ctx, runtime, "others")) == "others"
    assert [handle.status for handle in (*waiting, partly)] == ["PENDING"] * 3
    assert not ctx.log.starts("waiting")
    _scale(ctx, {"rare": 1})
    assert [ctx.value(handle) for handle in waiting] == ["waiting"] * 2
    assert partly.status == "PENDING"
    _scale(ctx, {"default,rare": 1})
    assert ctx.value(partly) == "partly"
    assert all("rare" in ctx.labels_of(entry) for entry in ctx.log.starts("waiting"))
    assert ctx.labels_of(ctx.log.starts("partly")[0]) >= {"default", "rare"}


@rule("LBL-006", workers=_LABELLED, independent=True)
def a_missing_label_is_an_error(ctx: Context) -> None:
    """on_missing='error' raises NoSuchLabel at the call.

    Who would rather not wait is told before anything is submitted.
    """
    ctx.deploy(held)
    strict = ctx.om.runtime.require(on_missing="error")
    with ctx.nothing_is_submitted():
        for label in ("rare", "default,gpu", "gpu,rare"):
            with pytest.raises(NoSuchLabel, match=rf"'{label}'.*big.*default.*gpu"):
                _start(ctx, strict.require(label), "refused")
    assert ctx.value(_start(ctx, strict.require("gpu,big"), "there")) == "there"
    assert ctx.value(_start(ctx, strict, "there")) == "there"


@virtualobj
def _whose(data: Any = None, log: str = "", name: str = "") -> None:
    """Note whose child the process of this task is."""
    import os

    note(log, "start", name, parent=os.getppid())


@rule("LBL-007")
def local_is_the_clients_own(ctx: Context) -> None:
    """'local' runs in the client's embedded runtime; in a detached canvas it waits for its client.

    Some steps have to run where the user is: next to a file, or for a test.
    """
    om = ctx.omega(ctx.own_runtime())
    runtime = om.runtime
    meta = om.scripts.put(_whose, "whose")
    local = runtime.require("local")
    asked = {"required": local, "mode": runtime.mode(local=True), "more": runtime.require(retries=1).require("local")}
    for name, view in asked.items():
        ctx.get(view.script("whose").run(log=str(ctx.log), name=name))
    ctx.get(local.mode(local=False).script("whose").run(log=str(ctx.log), name="taken back"))
    meta.attributes["require"] = {"label": "local"}
    meta.save()
    ctx.get(runtime.script("whose").run(log=str(ctx.log), name="stored"))
    for name in (*asked, "stored"):
        (entry,) = ctx.log.starts(name)
        assert entry.data["parent"] == os.getpid(), "'local' must run in a process of the client's own"
        assert entry.pid in {worker.pid for worker in local.workers()}
    (entry,) = ctx.log.starts("taken back")
    assert (entry.pid, entry.host) in {(worker.pid, worker.host) for worker in runtime.workers()}
    pids = {worker.pid for worker in local.workers()}
    om.close()
    used = pids & {entry.pid for entry in ctx.log.starts()}
    assert used
    ctx.wait(lambda: not any(map(ctx.alive, used)), "the end of the embedded runtime with its client")
