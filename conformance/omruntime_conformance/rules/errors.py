"""Errors: what the user's code raised is what the user catches."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest

from omruntime import virtualobj
from omruntime.errors import ObjectNotFound, RemoteTraceback, SerializationError, TaskError
from omruntime_conformance.context import Context
from omruntime_conformance.registry import rule
from omruntime_conformance.tasks import Trouble, held, note


class BadInit(Exception):
    """An exception whose constructor does not take its ``args``."""

    def __init__(self, code: int, *, where: str) -> None:
        super().__init__(f"code {code} at {where}")
        self.code = code


class WithLock(Exception):
    """An exception that holds what nobody can pickle."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


@virtualobj
def _raises(data: Any = None) -> None:
    if data == "bad init":
        raise BadInit(3, where="here")
    if data == "builtin":
        raise KeyError("missing", 4)
    trouble = Trouble("two", {"args": 2})
    trouble.hint = "look there"
    raise trouble


@virtualobj
def _exits(data: str = "", log: str = "") -> None:
    note(log, "start", data)
    exits = {"SystemExit": SystemExit(3), "KeyboardInterrupt": KeyboardInterrupt()}
    raise exits.get(data) or asyncio.CancelledError()


@virtualobj
def _chained(data: Any = None) -> None:
    try:
        dict[str, int]()["nothing"]
    except KeyError as cause:
        raise Trouble("because") from cause  # the line that is looked for


@virtualobj
def _raises_with_lock(data: Any = None) -> None:
    raise WithLock("it holds a lock")


@virtualobj
def _returns_lock(data: Any = None, log: str = "") -> Any:
    note(log, "start", "lock")
    return {"inside": [threading.Lock()]}


@rule("ERR-001", independent=True)
def own_exception_comes_back(ctx: Context) -> None:
    """The user's exception comes back with its own type, arguments and message, each time as a fresh copy; SystemExit, KeyboardInterrupt and CancelledError come as TaskError that names them.

    Users catch their own exceptions, by type and arguments, as if the code had run here. Look for an engine that
    wraps or re-creates what a task raised; the outcome's bytes have it.
    """  # noqa: E501
    script = ctx.deploy(_raises, "raises")
    handle = script.run()
    first, second = ctx.fails(handle, Trouble), ctx.fails(handle, Trouble)
    for error in (first, second):
        assert (type(error), error.args, error.hint) == (Trouble, ("two", {"args": 2}), "look there")
        assert str(error) == str(Trouble("two", {"args": 2}))
    assert first is not second
    # A worker that has run it before still raises the very same type.
    for again in [script.run() for _ in range(6)]:
        assert type(ctx.fails(again, Exception)) is Trouble
    bad = ctx.fails(script.run("bad init"), BadInit)
    assert (str(bad), bad.args, bad.code) == ("code 3 at here", ("code 3 at here",), 3)
    assert ctx.fails(script.run("builtin"), KeyError).args == ("missing", 4)
    _type_of_an_importable_package(ctx)
    exits = ctx.deploy(_exits, "exits")
    for name in ("SystemExit", "KeyboardInterrupt", "CancelledError"):
        ended = ctx.fails(exits.run(name, log=str(ctx.log)), TaskError)
        assert name in ended.type_name
        assert name in str(ended)


_ETL = """
class EtlError(Exception):
    pass

def run(*args, **kwargs):
    raise EtlError("column 'x' is gone", 7)
"""

_IMPORTS_ETL = """
import etl

om = Omega()
try:
    om.runtime.script("etl").run().get(timeout=60)
except etl.EtlError as exc:
    answer(["its own", *exc.args])
except Exception as exc:
    answer(["not its own", type(exc).__module__, type(exc).__name__, str(exc)])
om.close()
"""


def _type_of_an_importable_package(ctx: Context) -> None:
    """Where the client can import the package of a script, ``except`` with the package's own class catches."""
    source = ctx.package("etl", {"__init__.py": _ETL})
    ctx.om.scripts.put(source, "etl")
    client = ctx.subprocess(_IMPORTS_ETL, PYTHONPATH=source.removeprefix("pkg://"))
    assert client.answer() == ["its own", "column 'x' is gone", 7]
    client.exit()


@rule("ERR-002", rests_on=("ERR-001",), independent=True)
def chain_of_causes(ctx: Context) -> None:
    """The chain is: the exception, a RemoteTraceback that names the user's file and line, then the user's own cause.

    The line that failed is on another machine, and is all that helps. Look for an engine that raises the error anew
    and drops its cause.
    """
    handle = ctx.deploy(_chained, "chained").run()
    for _ in range(2):
        error = ctx.fails(handle, Trouble)
        remote = error.__cause__
        assert isinstance(remote, RemoteTraceback), f"the cause of the exception is {remote!r}, no RemoteTraceback"
        assert type(remote.__cause__) is KeyError, f"the user's own cause is {remote.__cause__!r}"
        assert remote.__cause__.args == ("nothing",)
        assert __file__ in str(remote)
        assert f"line {_line_of_the_raise()}," in str(remote)
    assert "Trouble" in (handle.traceback or "")


def _line_of_the_raise() -> int:
    lines, first = inspect.getsourcelines(inspect.unwrap(_chained))
    return first + next(number for number, line in enumerate(lines) if "the line that is looked for" in line)


@rule("ERR-003", independent=True)
def foreign_exception_as_task_error(ctx: Context) -> None:
    """An exception that cannot be rebuilt at the client comes back as TaskError with type name, message and traceback.

    A class that only the worker has must not turn one error into another one about pickles.
    """  # noqa: E501
    # The class lives in a package that is installed nowhere but in the worker, and only while the task runs.
    ctx.om.scripts.put(ctx.package("etl", {"__init__.py": _ETL}), "etl")
    foreign = ctx.fails(ctx.om.runtime.script("etl").run(), TaskError)
    held_lock = ctx.fails(ctx.deploy(_raises_with_lock, "locked").run(), TaskError)
    for error, name, message in (
        (foreign, "EtlError", "column 'x' is gone"),
        (held_lock, "WithLock", "holds a lock"),
    ):
        assert type(error) is TaskError
        assert error.type_name.endswith(name)
        assert message in str(error)
        assert name in error.remote_traceback
        assert "Traceback" in error.remote_traceback
    assert "etl" in foreign.type_name
    assert "in run" in foreign.remote_traceback


@rule("ERR-004")
def unserialisable_value(ctx: Context) -> None:
    """A value that cannot be serialised makes the task fail with SerializationError that names the type; the worker lives on.

    The task has run; the user has to learn which value could not be sent, and nobody else may suffer from it.
    """  # noqa: E501
    before = ctx.worker_pids()
    handle = ctx.deploy(_returns_lock, "lock").run(log=str(ctx.log))
    error = ctx.fails(handle, SerializationError)
    assert handle.status == "FAILURE"
    assert "lock" in str(error)
    assert error.type_name.endswith("lock")
    assert ctx.worker_pids() == before, "the worker was replaced"


@rule("ERR-005", independent=True)
def unserialisable_argument(ctx: Context) -> None:
    """An argument that cannot be serialised is refused at the call.

    A mistake in a call is found where the call is, with a traceback that points at it, and not minutes later on a
    worker.
    """
    script = ctx.deploy(held)
    with ctx.nothing_is_submitted():
        for value, name in ((threading.Lock(), "lock"), ((n for n in "ab"), "generator")):
            with pytest.raises(SerializationError) as caught:
                script.run({"nested": [value]}, log=str(ctx.log))
            assert name in str(caught.value)
            with pytest.raises(SerializationError):
                script.run(log=str(ctx.log), other=value)


@rule("ERR-006", independent=True)
def unknown_object_is_refused(ctx: Context) -> None:
    """An unknown model, script or job is refused at the call, and nothing is submitted.

    A mistyped name is told at once and leaves nothing to clear up.
    """
    om = ctx.om
    ctx.deploy(held)
    om.models.put(held, "known")
    calls: list[Callable[[], object]] = [
        lambda: om.runtime.model("no-such-model").fit([[1.0]], [1.0]),
        lambda: om.runtime.model("no-such-model").predict([[1.0]]),
        lambda: om.runtime.script("no-such-script").run(),
        lambda: om.runtime.job("no-such-notebook").run(),
        lambda: om.runtime.job("no-such-notebook").map([1]),
        lambda: om.runtime.job("no-such-notebook").restart(),
        lambda: om.runtime.model("known").predict("no-such-dataset"),
        lambda: om.runtime.model("known").fit("no-such-dataset[^y]", "no-such-dataset[y]"),
    ]
    with ctx.nothing_is_submitted():
        for call in calls:
            with pytest.raises(ObjectNotFound, match="no-such") as caught:
                call()
            assert isinstance(caught.value, KeyError)


@rule("ERR-007")
def exits_fail_that_task_only(ctx: Context) -> None:
    """SystemExit and KeyboardInterrupt in user code fail that task only.

    Libraries call sys.exit(). It ends their task, and not the worker with everybody else's.
    """
    exits, before = ctx.deploy(_exits, "exits"), ctx.worker_pids()
    for name in ("SystemExit", "KeyboardInterrupt"):
        handle = exits.run(name, log=str(ctx.log))
        ctx.fails(handle, TaskError)
        assert handle.status == "FAILURE"
        assert len(ctx.log.starts(name)) == 1, "it must run exactly once"
    assert ctx.worker_pids() == before, "the worker was replaced"


@rule("ERR-009", independent=True)
def value_of_a_foreign_class(ctx: Context) -> None:
    """A value of a class that the client does not have is a success whose get() raises SerializationError, saying so.

    The task has succeeded whether or not this process can load its value; another one may.
    """
    source = "class Report:\n    pass\n\n\ndef run(plain):\n    return 'plain' if plain else Report()\n"
    ctx.om.scripts.put(ctx.package("reporting", {"__init__.py": source}), "reporting")
    script = ctx.om.runtime.script("reporting")
    handle = script.run(False)
    error = ctx.fails(handle, SerializationError)
    assert handle.status == "SUCCESS"
    assert "reporting" in str(error), "it must say what is missing"
    assert handle.id in str(error)
    assert ctx.value(script.run(True)) == "plain"
