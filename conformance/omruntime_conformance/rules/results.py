"""Results: handles, their status, and how they are found again."""

from __future__ import annotations

import asyncio
import pickle
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from omruntime import AsyncResult, virtualobj
from omruntime.errors import ResultExpired, ResultTimeout, UnknownTask
from omruntime_conformance.context import Context
from omruntime_conformance.oracle import Gate
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import Trouble, echo, held, note, pass_gate

_RANK = {"PENDING": 0, "STARTED": 1, "SUCCESS": 2, "FAILURE": 2, "REVOKED": 2}


@virtualobj
def _gated_model(data: object = None, log: str = "", gate: str = "") -> str:
    note(log, "start", "model")
    pass_gate(gate)
    return "predicted"


@rule("RES-001", independent=True)
def actions_return_at_once(ctx: Context) -> None:
    """An action returns without waiting for the task, with a handle whose id is unique.

    Whoever submits many tasks must not wait for the first of them. Look for a submit() that waits for the worker's
    answer.
    """
    gate = ctx.gate()
    script = ctx.deploy(held)
    ctx.om.models.put(_gated_model, "gated")
    at_gate = {"log": str(ctx.log), "gate": str(gate)}

    def call() -> list[AsyncResult]:
        # Many more than there are workers: none of them can end before the gate is opened.
        calls = [script.run(number, **at_gate) for number in range(20)]
        return [*calls, ctx.om.runtime.model("gated").predict([[1.0]], **at_gate)]

    with ThreadPoolExecutor(1) as pool, ExitStack() as at_end:
        at_end.callback(gate.open)
        called = pool.submit(call)
        ctx.wait(called.done, "the calls to return while their tasks wait at a gate")
        handles = called.result()
        assert not ctx.log.entries("end")
        assert not any(handle.ready() for handle in handles)
    assert all(isinstance(handle, AsyncResult) for handle in handles)
    assert len({handle.id for handle in handles}) == len(handles)
    assert ctx.get(handles.pop()) == "predicted"
    assert [ctx.value(handle) for handle in handles] == [*range(20)]


@rule("RES-002")
def status_never_goes_back(ctx: Context) -> None:
    """A task's status moves PENDING, STARTED, then SUCCESS, FAILURE or REVOKED, and never back.

    Programs decide by the status, so one that goes back makes them do things twice. It is read off the ledger's
    facts: look for an end that was written before its claim.
    """
    gate = ctx.gate()
    slots = ctx.slots()
    script = ctx.deploy(held)
    ctx.deploy(_fails)
    at_gate = {"log": str(ctx.log), "gate": str(gate), "name": "running"}
    running = [script.run(**at_gate) for _ in range(slots - 1)]
    # Between its attempts nobody runs it, and still it has begun.
    retried = ctx.om.runtime.require(retries=1, retry_delay=0.3).script("_fails").run(**at_gate)
    ctx.log.wait("start", "running", count=slots)
    queued = script.run(log=str(ctx.log), name="queued")
    failing = ctx.om.runtime.script("_fails").run()
    revoked = script.run(log=str(ctx.log), name="revoked")
    watched = [running[0], retried, queued, failing, revoked]
    assert [handle.status for handle in watched] == ["STARTED", "STARTED", "PENDING", "PENDING", "PENDING"]

    seen = _Watch(ctx, watched)
    assert revoked.cancel()
    gate.open()
    ctx.wait(lambda: all(handle.ready() for handle in watched), "the end of all tasks")
    histories = seen.end()
    for history in histories:
        ranks = [_RANK[status] for status in history]
        assert ranks == sorted(ranks), f"went back: {history}"
    assert [history[-1] for history in histories] == ["SUCCESS", "FAILURE", "SUCCESS", "FAILURE", "REVOKED"]
    assert all(len({status for status in history if _RANK[status] == 2}) == 1 for history in histories)
    assert not ctx.log.starts("revoked")


class _Watch:
    """Reads the status of tasks all the time, through handles of its own."""

    def __init__(self, ctx: Context, handles: list[AsyncResult]) -> None:
        self._handles = [ctx.om.runtime.result(handle.id) for handle in handles]
        self._histories: list[list[str]] = [[] for _ in handles]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._over.is_set():
            self._look()

    def _look(self) -> None:
        for handle, history in zip(self._handles, self._histories, strict=True):
            status = handle.status
            if history[-1:] != [status]:
                history.append(status)

    def end(self) -> list[list[str]]:
        self._over.set()
        self._thread.join()
        self._look()
        return self._histories


@virtualobj
def _fails(data: object = None, log: str = "", gate: str = "", name: str = "fails") -> None:
    if log:
        note(log, "start", name)
    if gate:
        pass_gate(gate)
    raise Trouble("as it should")


@rule("RES-003", independent=True)
def started_can_be_seen(ctx: Context) -> None:
    """STARTED can be seen while a task runs.

    The claim is durable before user code starts, so whoever looks once the task has noted its start sees STARTED.
    """
    gate = ctx.gate()
    handle = ctx.deploy(held).run("done", log=str(ctx.log), gate=str(gate))
    ctx.log.wait("start")
    assert handle.status == "STARTED"
    assert ctx.om.runtime.result(handle.id).status == "STARTED"
    assert not handle.ready()
    assert handle.result is None
    gate.open()
    assert ctx.value(handle) == "done"
    assert handle.status == "SUCCESS"


@rule("RES-004", independent=True)
def get_can_be_repeated(ctx: Context) -> None:
    """get() returns the value as often as it is asked.

    A result is a fact and no message in a queue: reading it takes nothing away, and what is done to one copy does not
    show in the next.
    """
    value = {"numbers": [1, 2, 3], "text": "ä"}
    handle = ctx.deploy(held).run(value, log=str(ctx.log))
    for _ in range(3):
        found = ctx.value(handle)
        assert found == value
        # What one reader does to its value is nothing to the next one.
        found["numbers"].clear()
    assert handle.result["result"] == value
    again = ctx.om.runtime.result(handle.id)
    assert [ctx.value(again) for _ in range(2)] == [value] * 2
    assert len(ctx.log.starts()) == 1, "asking for a value must not run the task again"


@rule("RES-005", independent=True)
def get_gives_up_in_time(ctx: Context) -> None:
    """get(timeout) raises ResultTimeout in time, and the task goes on.

    A limit on waiting is the reader's own affair. Look for a timeout that reaches the engine and cancels there.
    """
    gate = ctx.gate()
    handle = ctx.deploy(held).run("late", log=str(ctx.log), gate=str(gate))
    for timeout in (0, 0.05, 0.3):
        with pytest.raises(ResultTimeout) as caught:
            handle.get(timeout=timeout)
        assert isinstance(caught.value, TimeoutError)
    with pytest.raises(ResultTimeout):
        ctx.om.runtime.result(handle.id).get(timeout=0.05)
    ctx.log.wait("start")
    gate.open()
    assert ctx.value(handle) == "late"
    assert len(ctx.log.starts()) == 1


@rule("RES-006", independent=True)
def found_by_id_after_the_client(ctx: Context) -> None:
    """A result is found by id from another process, after the submitting process has exited.

    A notebook is closed, a laptop sleeps, and the result is still wanted. Look for results that live in the client or
    in the engine's memory.
    """
    ctx.deploy(held)
    client = ctx.subprocess(
        """
        with Omega() as om:
            handle = om.runtime.script('held').run({'kept': [1, 'ä']}, log=argv[0])
            handle.get(timeout=60)
            answer(handle.id)
        """,
        ctx.log,
    )
    client.exit()
    task = client.answer()
    handle = ctx.om.runtime.result(task)
    assert handle.status == "SUCCESS"
    assert ctx.value(handle) == {"kept": [1, "ä"]}
    reader = ctx.subprocess(
        """
        with Omega() as om:
            handle = om.runtime.result(argv[0])
            answer([handle.status, handle.get(timeout=60)["result"]])
        """,
        task,
    )
    assert reader.answer() == ["SUCCESS", {"kept": [1, "ä"]}]
    reader.exit()
    assert len(ctx.log.starts()) == 1


@rule("RES-007", independent=True)
def unknown_is_not_expired(ctx: Context) -> None:
    """An id that was never issued raises UnknownTask; one whose result has expired raises ResultExpired.

    Silence about a mistyped id would be waited for for ever, and an expired result is no mistake of the reader's.
    """
    handle = ctx.deploy(echo).run(1)
    assert ctx.value(handle) == 1
    altered = handle.id[:-1] + ("0" if handle.id[-1] != "0" else "1")
    for never in (uuid.uuid4().hex, altered, "never"):
        with pytest.raises(UnknownTask):
            _ = ctx.om.runtime.result(never).status
        with pytest.raises(UnknownTask):
            ctx.om.runtime.result(never).get(timeout=ctx.wait.seconds)
    other_reader = ctx.om.runtime.result(handle.id)
    handle.forget()
    for gone in (handle, other_reader, ctx.om.runtime.result(handle.id)):
        with pytest.raises(ResultExpired):
            gone.get(timeout=ctx.wait.seconds)
    with pytest.raises(ResultExpired):
        _ = ctx.om.runtime.result(handle.id).status


@rule("RES-008", independent=True)
def handles_are_pickled(ctx: Context) -> None:
    """A handle can be pickled, sent to another process and used there.

    Handles travel: into other tasks, into a database, to a colleague. They hold ids and an address without
    credentials, and no connection.
    """
    gate = ctx.gate()
    handle = ctx.deploy(held).run([1, 2], log=str(ctx.log), gate=str(gate))
    data = pickle.dumps(handle)
    copy = pickle.loads(data)
    assert copy == handle
    assert hash(copy) == hash(handle)
    assert ctx.auth.secret().encode() not in data
    sent = ctx.place / "handle.pickle"
    sent.write_bytes(data)
    client = ctx.subprocess(
        """
        import pickle
        handle = pickle.load(open(argv[0], 'rb'))
        answer([handle.id, handle.ready()])
        answer(handle.get(timeout=60)["result"])
        answer(handle.status)
        """,
        sent,
        # The handle knows its store, whatever the process that gets it has as its own.
        OMRUNTIME_STORE=ctx.stores.url("elsewhere"),
    )
    assert client.answer(1) == [handle.id, False]
    gate.open()
    assert client.answer(2) == [1, 2]
    assert client.answer(3) == "SUCCESS"
    client.exit()


@rule("RES-009", independent=True)
def awaiting_leaves_the_loop_free(ctx: Context) -> None:
    """A handle can be awaited, and awaiting does not block the event loop.

    Services await hundreds of handles in one loop. Look for a wait that blocks the thread instead of being woken.
    """
    gate = ctx.gate()
    script = ctx.deploy(held)
    failing = ctx.deploy(_fails)

    async def turns(count: int) -> None:
        # The task cannot end before these turns of the loop are over, so a loop that is blocked is never free again.
        for _ in range(count):
            await asyncio.sleep(0)
        gate.open()

    async def both() -> object:
        handle = script.run("awaited", log=str(ctx.log), gate=str(gate))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(handle, 0.05)
        envelope, _ = await asyncio.gather(handle, turns(100))
        return envelope["result"]

    async def error() -> None:
        await failing.run()

    with _loop_turns(ctx, gate):
        assert asyncio.run(asyncio.wait_for(both(), ctx.wait.seconds)) == "awaited"
    with pytest.raises(Trouble, match="as it should"):
        asyncio.run(asyncio.wait_for(error(), ctx.wait.seconds))
    assert len(ctx.log.starts()) == 1, "cancelling the awaiter must leave the task alone"


@contextmanager
def _loop_turns(ctx: Context, gate: Gate) -> Iterator[None]:
    """Open a gate that the event loop is to open, when that is blocked and will not, and fail for it."""
    blocked = threading.Event()

    def free() -> None:
        blocked.set()
        gate.open()

    watchdog = threading.Timer(ctx.wait.seconds, free)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()
        watchdog.join()
        assert not blocked.is_set(), "awaiting a handle has blocked the event loop"


@virtualobj
def _prints(data: int = 0) -> int:
    import os
    import sys

    print("first line")  # noqa: T201
    print("to stderr", file=sys.stderr)  # noqa: T201
    os.write(1, b"past the interpreter\n")
    for _ in range(data):
        print("x" * 999)  # noqa: T201
    print("last line")  # noqa: T201
    return data


@rule("RES-011", independent=True)
def output_is_kept_with_the_record(ctx: Context) -> None:
    """What a task prints is kept with its record, bounded, and logs() shows it in any process.

    What a task has printed is the first thing somebody looks at, and an endless loop that prints must not fill the
    store.
    """
    script = ctx.deploy(_prints)
    small, large = script.run(), script.run(20_000)
    assert (ctx.value(small), ctx.value(large)) == (0, 20_000)
    assert sorted(small.logs().splitlines()) == ["first line", "last line", "past the interpreter", "to stderr"]
    kept = large.logs()
    assert kept.startswith("first line\n")
    assert kept.endswith("last line\n")
    assert "left out" in kept
    assert len(kept) < 200_000, "an endless output must not fill the store"
    reader = ctx.subprocess(
        """
        with Omega() as om:
            answer(om.runtime.result(argv[0]).logs())
        """,
        small.id,
    )
    reader.exit()
    assert reader.answer() == small.logs()
