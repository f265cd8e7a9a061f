"""The action on scripts: packages with a ``run`` function, and ``@virtualobj`` functions."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from omruntime.store import Record
from omruntime.virtual import call_virtualobj, is_virtualobj, names, requires
from omruntime.worker.cache import ModelCache
from omruntime.worker.context import Action, TaskContext
from omruntime.worker.packages import import_top, package_path, unchanged_process, unpacked

__all__ = ["SCRIPT_ACTIONS"]

_INJECTED = ("result", "results", "state")
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_cache = ModelCache()


def run(context: TaskContext, request: Any) -> dict[str, Any]:
    """Run a script and return its envelope: script, args, kwargs, result, runtime (microseconds), started, ended."""
    args, kwargs, given = tuple(request["args"]), dict(request["kwargs"]), dict(request["given"])
    scripts, name = context.om.scripts, context.header.name
    record = scripts.peek(name).record
    is_package = record.kind == "python.package"
    context.cleanup.enter_context(unchanged_process(modules=is_package))
    started, clock = datetime.now(UTC), time.perf_counter_ns()
    perform = _run_package if is_package else _run_function
    value = perform(context, record, args, kwargs, given)
    runtime = (time.perf_counter_ns() - clock) // 1000
    return {
        "script": name,
        "args": list(args),
        "kwargs": kwargs,
        "result": value,
        "runtime": runtime,
        "started": started.isoformat(),
        "ended": datetime.now(UTC).isoformat(),
    }


def _run_package(
    context: TaskContext, record: Record, args: tuple[Any, ...], kwargs: dict[str, Any], given: dict[str, Any]
) -> Any:
    digest = record.attributes["sha256"]
    root = unpacked(digest, context.scratch, lambda: context.om.scripts.get(context.header.name))
    context.cleanup.enter_context(package_path(root))
    function = import_top(record.attributes["module"], context.header.title).run
    args, kwargs = _completed(function, args, kwargs, given, context.om)
    return function(*args, **kwargs)


def _run_function(
    context: TaskContext, record: Record, args: tuple[Any, ...], kwargs: dict[str, Any], given: dict[str, Any]
) -> Any:
    name, scripts = context.header.name, context.om.scripts
    function = _cache.get(context.key, name, record, scripts)
    if not is_virtualobj(function):
        raise TypeError(f"the script {name!r} is a {type(function).__name__}, neither a package nor a @virtualobj")
    standard = {
        "args": args,
        "method": "run",
        "store": scripts,
        "tracking": None,
        "om": context.om,
    }
    if args or requires(function, "data"):
        standard["data"] = args[0] if args else None
    if names(function, "meta"):
        standard["meta"] = scripts.metadata(name)
    return call_virtualobj(function, **{**standard, **given, **kwargs})


def _completed(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], given: dict[str, Any], om: object
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with ``om`` where it is named, and with what a canvas hands on.

    That is added where it is named, or where ``**kwargs`` takes it. What was given at the call wins, by name and by
    its place; only ``om`` is never in anybody's place, so ``def run(om, *args)`` gets it first.
    """
    parameters = inspect.signature(function).parameters
    by_place = [each.name for each in parameters.values() if each.kind in _BY_PLACE]
    if "om" in parameters and "om" not in kwargs:
        place = by_place.index("om") if "om" in by_place else len(args)
        if place < len(args):
            args = (*args[:place], om, *args[place:])
        else:
            kwargs = {"om": om, **kwargs}
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    extra = {key: value for key, value in given.items() if key in _INJECTED and (key in parameters or takes_any)}
    in_place = by_place[: len(args)]
    return args, {key: value for key, value in extra.items() if key not in in_place} | kwargs


SCRIPT_ACTIONS: dict[str, Action] = {"run": run}
