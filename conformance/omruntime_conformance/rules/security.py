"""Security: who may send, end, read and store; judged with raw calls through the public interface of engines."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from omruntime import AsyncResult, Auth, Omega, OmegaRuntimeLocal
from omruntime.abc import Call
from omruntime.errors import SignatureError
from omruntime.testing import capture_calls
from omruntime_conformance.context import Context
from omruntime_conformance.libraries import sklearn
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import held, note

_OTHER_KEY = "a key that no worker of this cluster was given"


class _Bomb:
    """Notes in the log that it was unpickled."""

    def __init__(self, log: str) -> None:
        self.log = log

    def __reduce__(self) -> tuple[Any, ...]:
        return note, (self.log, "decoded", "bomb")


def _genuine(ctx: Context, value: object) -> tuple[AsyncResult, Call]:
    """Return a task that was requested and whose call has not been sent yet."""
    with capture_calls(ctx.om.runtime, deliver=False) as calls:
        handle = ctx.om.runtime.script("held").run(value, log=str(ctx.log), name="genuine")
    assert [call.id for call in calls] == [handle.id]
    return handle, calls[0]


def _mallory(ctx: Context) -> Omega:
    """Open the rule's store as somebody who has another key; an envelope is the same whatever engine carries it."""
    auth = Auth("mallory", _OTHER_KEY)
    return ctx.omega(OmegaRuntimeLocal(workers={"default": 1}, auth=auth), auth=auth)


def _of_another_key(ctx: Context) -> Call:
    """Return a call that is signed by somebody with another key, on the same store."""
    other = _mallory(ctx)
    other.scripts.put(held, "foreign")
    with capture_calls(other.runtime, deliver=False) as calls:
        other.runtime.script("foreign").run(log=str(ctx.log), name="forged")
    call: Call = calls[0]
    return call


def _altered(ctx: Context, call: Call, foreign: Call) -> Iterator[tuple[str, Call]]:
    """Yield the call in ways that no worker may accept."""
    head, *buffers = [bytes(part) for part in call.payload]
    bomb = pickle.dumps(_Bomb(str(ctx.log)))
    yield "nothing at all", replace(call, payload=())
    yield "an empty head", replace(call, payload=(b"", *buffers))
    yield "a pickle in place of the head", replace(call, payload=(bomb,))
    yield "a pickle behind a genuine beginning", replace(call, payload=(head[:60] + bomb, *buffers))
    yield "a buffer too many", replace(call, payload=(*call.payload, bomb))
    for at in sorted({*range(0, len(head), max(1, len(head) // 12)), len(head) - 1}):
        flipped = head[:at] + bytes([head[at] ^ 1]) + head[at + 1 :]
        yield f"bit 0 of byte {at} of the head", replace(call, payload=(flipped, *buffers))
    for number, buffer in enumerate(buffers):
        kept = list(buffers)
        for what, content in (("altered", bytes([buffer[0] ^ 1]) + buffer[1:]), ("replaced by a pickle", bomb)):
            kept[number] = content
            yield f"buffer {number} {what}", replace(call, payload=(head, *kept))
        yield f"buffer {number} missing", replace(call, payload=(head, *buffers[:number], *buffers[number + 1 :]))
    yield "another key", replace(foreign, id=call.id)


def _is_refused(ctx: Context, call: Call, what: str) -> None:
    future = ctx.om.runtime.backend.submit(call)
    error = future.exception(timeout=ctx.wait.seconds)
    assert isinstance(error, SignatureError), f"{what}: {error!r}"


@rule("SEC-001", independent=True)
def bad_calls_are_refused(ctx: Context) -> None:
    """A worker refuses a call that is unsigned, signed with another key, or altered, before decoding it.

    Unpickling is running code. Whoever can reach the broker must not be able to run any.
    """
    ctx.deploy(held)
    foreign = _of_another_key(ctx)
    handle, call = _genuine(ctx, "x" * 1000)
    for what, bad in _altered(ctx, call, foreign):
        _is_refused(ctx, bad, what)
    assert not ctx.log.entries(), "something was decoded or run"
    # Refusals have left the worker and the task as they were.
    ctx.om.runtime.backend.submit(call)
    assert ctx.value(handle) == "x" * 1000
    assert [entry.name for entry in ctx.log.starts()] == ["genuine"]


@rule("SEC-003", rests_on=("SEC-001",), independent=True)
def forgery_touches_no_other_task(ctx: Context) -> None:
    """A forged envelope cannot end, change or read another task; whoever sent a refused call is told SignatureError.

    An id is no secret. Only who has the key acts on a task; and the one who sent a bad call has to learn that it was
    refused.
    """
    ctx.deploy(held)
    foreign = _of_another_key(ctx)
    ended = ctx.om.runtime.script("held").run("secret", log=str(ctx.log), name="ended")
    assert ctx.value(ended) == "secret"
    waiting, call = _genuine(ctx, "genuine")
    second, second_call = _genuine(ctx, "second")

    for victim in (ended, waiting):
        _is_refused(ctx, replace(foreign, id=victim.id), f"a forged call with the id of {victim.id}")
    # A genuine envelope under another task's id runs the task that it was signed for, or nothing.
    ctx.om.runtime.backend.submit(replace(second_call, id=waiting.id)).exception(timeout=ctx.wait.seconds)
    assert ended.status == "SUCCESS"
    assert waiting.status == "PENDING"
    assert not ctx.log.entries("start", "forged")

    mallory = _mallory(ctx)
    with pytest.raises(SignatureError):
        mallory.runtime.result(ended.id).get(timeout=ctx.wait.seconds)
    for each in (call, second_call):
        ctx.om.runtime.backend.submit(each)
    assert [ctx.value(each) for each in (ended, waiting, second)] == ["secret", "genuine", "second"]
    assert len(ctx.log.starts()) == 3


@rule("SEC-004", independent=True)
def altered_pickles_are_not_loaded(ctx: Context) -> None:
    """A stored pickle that was altered, or put without the key, is refused before it is loaded.

    A pickle at rest runs on the next worker that loads it, so it is signed as calls are.
    """
    om, bomb = ctx.om, _Bomb(str(ctx.log))
    x, y = [[0.0], [1.0], [2.0]], [0, 1, 1]
    om.models.put(sklearn.naive_bayes.GaussianNB().fit(x, y), "altered")
    _replace_pickles(om, pickle.dumps(bomb))
    mallory = _mallory(ctx)
    mallory.models.put(bomb, "foreign")
    mallory.scripts.put(held, "foreign")
    for name in ("altered", "foreign"):
        with pytest.raises(SignatureError):
            om.models.get(name)
        ctx.fails(om.runtime.model(name).predict(x), SignatureError)
    with pytest.raises(SignatureError):
        om.scripts.get("foreign")
    ctx.fails(om.runtime.script("foreign").run(log=str(ctx.log)), SignatureError)
    assert not ctx.log.entries(), "it was loaded"
    # One byte is enough; other content than before, or both would be one blob.
    om.models.put(sklearn.naive_bayes.GaussianNB().fit(x, y[::-1]), "flipped")
    _flip_last_bytes(om)
    with pytest.raises(SignatureError):
        om.models.get("flipped")


def _replace_pickles(om: Omega, content: bytes) -> None:
    names = [blob.name for blob in om.store.blobs()]
    assert names, "a stored model has no blob, so this rule cannot alter it"
    for name in names:
        om.store.write_blob(name, [content])


def _flip_last_bytes(om: Omega) -> None:
    for name in [blob.name for blob in om.store.blobs()]:
        content = bytes(om.store.read_blob(name))
        om.store.write_blob(name, [content[:-1], bytes([content[-1] ^ 1])])
