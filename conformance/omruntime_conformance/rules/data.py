"""Data: values arrive as they were, large ones too, and nothing of them is left behind."""

from __future__ import annotations

import secrets
from typing import Any

from omruntime import virtualobj
from omruntime.abc import Space, Store
from omruntime_conformance.context import Context
from omruntime_conformance.libraries import np
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import echo, held, note, pass_gate
from omruntime_conformance.values import all_values, differences


@rule("DAT-001", independent=True)
def values_arrive_as_they_were(ctx: Context) -> None:
    """Values arrive as they were: None, big int, nan, bytes, unicode, nested, numpy of every dtype, DataFrame with index and dtypes, datetime with zone.

    A value that comes back almost equal is worse than an error: a tuple as a list, a time without its zone, an int as
    a float.
    """  # noqa: E501
    script = ctx.deploy(echo)
    values = all_values()
    positional = {name: script.run(value) for name, value in values.items()}
    named = {name: script.run(value=value) for name, value in values.items()}
    nested = {name: script.run([{"deep": (value, [value])}]) for name, value in values.items()}
    for name, value in values.items():
        assert not differences(value, ctx.value(positional[name])), f"{name} as an argument"
        assert not differences({"value": value}, ctx.value(named[name])), f"{name} as a keyword"
        assert not differences([{"deep": (value, [value])}], ctx.value(nested[name])), f"{name} nested"


@rule("DAT-002", independent=True)
def hundred_megabytes(ctx: Context) -> None:
    """100 MB goes in and out.

    Data is large. Look for limits of the engine's messages, and for values that travel through the scheduler.
    """
    array = np.random.default_rng(5).integers(0, 255, 100_000_000, dtype=np.uint8)
    handle = ctx.deploy(held).run(array, log=str(ctx.log))
    returned = ctx.value(handle)
    np.testing.assert_array_equal(returned, array, strict=True)
    handle.forget()


@virtualobj
def _swallows(data: Any = None, log: str = "", gate: str = "", name: str = "") -> None:
    """Keep its argument while it waits, and return nothing of it."""
    note(log, "start", name)
    pass_gate(gate)


@virtualobj
def _makes(data: int = 0) -> bytes:
    """Return so many copies of 32 random bytes."""
    return secrets.token_bytes(32) * data


def _holders(ctx: Context, mark: bytes) -> list[str]:
    """Return where the store still has these bytes; looked at through the interface of stores."""
    store = ctx.om.store
    records = [key for key, value in store.scan(Space.LEDGER, "") if mark in value]
    return records + [blob.name for blob in store.blobs() if mark in _content(store, blob.name)]


def _content(store: Store, name: str) -> bytes:
    try:
        return bytes(store.read_blob(name))
    except FileNotFoundError:
        # Deleted between the listing and the look: just what the rule waits for.
        return b""


@rule("DAT-003", independent=True)
def nothing_is_left_behind(ctx: Context) -> None:
    """What a call stored for its own use is gone: arguments with the terminal end, results with forget() or expiry.

    Looked at below the engine: no record of the ledger and no blob of the store holds the bytes any more.
    """
    for size in (256, 5_000_000):
        _arguments_go_with_the_end(ctx, size)
        _results_go_with_forget(ctx, size)


def _arguments_go_with_the_end(ctx: Context, size: int) -> None:
    # A model's action: the envelope of a script repeats the arguments, so there they are part of the result.
    name = f"arguments-{size}"
    gate, mark = ctx.gate(name), secrets.token_bytes(32)
    ctx.om.models.put(_swallows, "swallows")
    model = ctx.om.runtime.model("swallows")
    handle = model.predict([mark * (size // 32)], log=str(ctx.log), gate=str(gate), name=name)
    ctx.log.wait("start", name)
    assert _holders(ctx, mark), "the arguments are not where this rule looks for them"
    gate.open()
    assert ctx.get(handle) is None
    ctx.wait(lambda: not _holders(ctx, mark), f"the end of {size} bytes of arguments")


def _results_go_with_forget(ctx: Context, size: int) -> None:
    handle = ctx.deploy(_makes, "makes").run(size // 32)
    value = ctx.value(handle)
    mark = value[:32]
    assert _holders(ctx, mark), "the result is not where this rule looks for it"
    handle.forget()
    ctx.wait(lambda: not _holders(ctx, mark), f"the end of a result of {size} bytes")
