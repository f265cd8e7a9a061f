"""The command as a whole: its commands, and how it ends."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from omruntime.cli.control import cancel, logs
from omruntime.cli.demo import demo
from omruntime.cli.failures import report
from omruntime.cli.jobs import jobs
from omruntime.cli.keys import key
from omruntime.cli.objects import ls, put
from omruntime.cli.run import run
from omruntime.cli.settings import common
from omruntime.cli.stewards import steward
from omruntime.cli.stores import store
from omruntime.cli.tasks import result, status
from omruntime.cli.words import Group
from omruntime.cli.worker import worker
from omruntime.cli.workers import backends, labels, workers

__all__ = ["App", "app", "main"]

_PIPE_CLOSED = 128 + 13
"""What a shell reports for a program that wrote into a closed pipe."""


class App(Group):
    """The group of all commands; every error becomes one line and an exit code."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run the command line and exit."""
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                sys.exit(super().main(words, **{**extra, "prog_name": "omruntime"}))
            except (Exception, KeyboardInterrupt) as exc:
                code = report(exc, words)
                if code is None:
                    # It can only be a mistake of ours, and then its traceback is what helps.
                    raise
                sys.exit(code)

    def invoke(self, ctx: click.Context) -> None:
        """Run the command that was chosen; what it returns is no exit code."""
        try:
            super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has seen enough; the interpreter must not try to flush the rest.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(_PIPE_CLOSED)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"warning: {message}", err=True)


@click.group(cls=App, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="omruntime", message="%(prog)s %(version)s")
@common
def app() -> None:
    """Run models, scripts and notebooks anywhere, and find what became of them.

    The store is that of --store, else of OMRUNTIME_STORE, else of omruntime.toml or [tool.omruntime] of
    pyproject.toml (store = "..."), else SQLite in your data directory. The engine is found the same way, by
    --runtime, OMRUNTIME_RUNTIME or runtime = "..."; by default it is workers on this machine.

    \b
    Exit codes:
      0    done
      1    the task failed
      2    wrong usage, or input that cannot be used
      3    no such object or task
      4    the store, the engine, or something that is needed is not available
      5    the task is not over in time
      130  interrupted
    """  # noqa: D301  (the backslash is one that click reads)


for command in (
    demo,
    put,
    ls,
    run,
    result,
    status,
    jobs,
    logs,
    cancel,
    worker,
    workers,
    labels,
    backends,
    key,
    steward,
    store,
):
    app.add_command(command)


def main() -> NoReturn:
    """Run the command line of this process and exit with its code."""
    app.main()
