"""Wrong runtimes for the rules of scripts."""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from typing import Any

from omruntime_conformance.mutants.registry import Patch, mutant

_ACTIONS = "omruntime.worker.actions.scripts"


@mutant("SCR-001")
def timeout_is_taken_from_the_arguments(patch: Patch) -> None:
    """A keyword argument of the script's own that is called timeout is taken as a limit, and not handed on."""

    @patch("omruntime.client.proxies:OmegaScriptProxy.run")
    def run(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **{key: value for key, value in kwargs.items() if key != "timeout"})


@mutant("SCR-001")
def envelope_tells_seconds(patch: Patch) -> None:
    """The envelope of a script tells its running time in seconds."""

    @patch("omruntime.worker.runner:find_action")
    def find_action(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        action = wrapped(*args)

        def run(context: Any, request: Any) -> Any:
            envelope = action(context, request)
            return {**envelope, "runtime": envelope["runtime"] / 1e6}

        return run if args[0] == "script" else action


@mutant("SCR-002")
def packages_are_unpacked_by_name(patch: Patch) -> None:
    """A worker that has unpacked a package of this name does not look for another one."""
    first: dict[tuple[str, str], Any] = {}

    @patch(f"{_ACTIONS}:_run_package")
    def run_package(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        context, record, *others = args
        return wrapped(context, first.setdefault((context.key, context.header.name), record), *others)


@mutant("SCR-003")
def worker_stays_as_the_script_left_it(patch: Patch) -> None:
    """Nobody undoes what a script does to the worker: sys.path, working directory, environment."""

    @patch(f"{_ACTIONS}:unchanged_process")
    def unchanged_process(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return nullcontext()


@mutant("SCR-003")
def modules_of_others_are_found_first(patch: Patch) -> None:
    """A package finds a module of another one, or of Python, where it has one of that name itself."""

    @patch("omruntime.worker.packages:_hide_namesakes")
    def hide_namesakes(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return {}


@mutant("SCR-004")
def what_scripts_store_is_dropped(patch: Patch) -> None:
    """What a script stores by itself never becomes current."""

    @patch("omruntime.store.objects:ObjectStore.put")
    def put(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        from omruntime.worker.context import CURRENT

        task = CURRENT.get()
        if task is None or task.header.kind != "script":
            return wrapped(*args, **kwargs)
        return wrapped.__func__(instance.staged(task.header.id, 99), *args, **kwargs)


@mutant("SCR-004")
def om_comes_by_name_alone(patch: Patch) -> None:
    """A script gets om as a keyword argument, wherever it has named it."""

    @patch(f"{_ACTIONS}:_completed")
    def completed(_wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        function, given, kwargs, extra, om = args
        return given, {**extra, **kwargs, **({"om": om} if "om" in function.__code__.co_varnames else {})}


@mutant("SCR-005")
def errors_of_imports_come_bare(patch: Patch) -> None:
    """A package that cannot be imported, or has no run(), fails with whatever Python raises."""

    @patch(f"{_ACTIONS}:import_top")
    def import_top(_wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        from importlib import import_module

        return import_module(args[0])


@mutant("SCR-006")
def only_one_task_may_wait(patch: Patch) -> None:
    """A task that waits while another one does is refused."""

    @patch("omruntime.worker.host:spares_limit")
    def spares_limit(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return 1


@mutant("SCR-006")
def any_number_may_wait(patch: Patch) -> None:
    """Nobody counts how many tasks wait for others."""

    @patch("omruntime.worker.host:spares_limit")
    def spares_limit(_wrapped: Any, _instance: Any, _args: Any, _kwargs: Any) -> Any:
        return 1_000_000


@mutant("SCR-007")
def workers_import_the_client(patch: Patch) -> None:
    """A worker runs the client's script before it takes tasks, as multiprocessing does where it spawns."""
    importing: list[str] = []

    @patch("omruntime.client.session:Session.__init__")
    def open_session(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        # As there: or each worker would start workers of its own.
        if importing:
            raise RuntimeError("a script that is still being imported has no guard")
        return wrapped(*args, **kwargs)

    @patch("omruntime.worker.process:RunnerProcess.__init__")
    def start(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        name, labels, config, *others = args
        script = getattr(sys.modules["__main__"], "__file__", None) or ""
        return wrapped(name, labels, {**config, "script": [script, *sys.argv]}, *others)

    @patch("omruntime.worker.runner:Runner.__init__")
    def begin(wrapped: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
        import runpy

        script, *sys.argv = args[1]["script"]
        importing.append(script)
        with suppress(BaseException):
            runpy.run_path(script, run_name="__mp_main__")
        importing.clear()
        return wrapped(*args)
