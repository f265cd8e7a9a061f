"""Commands that run what is stored: run model, run script, run job."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from omruntime.cli.board import Board
from omruntime.cli.following import following
from omruntime.cli.hints import hint
from omruntime.cli.output import print_json, print_value
from omruntime.cli.settings import Settings, common, pass_settings
from omruntime.cli.waiting import await_value
from omruntime.cli.words import Group, Pair, Word, parsed

if TYPE_CHECKING:
    from omruntime import AsyncResult, Omega, OmegaRuntime

__all__ = ["ACTIONS", "run"]

Command = TypeVar("Command", bound=Callable[..., Any])

ACTIONS = (
    "fit",
    "partial_fit",
    "predict",
    "predict_proba",
    "transform",
    "fit_transform",
    "decision_function",
    "score",
    "gridsearch",
    "reduce",
)


@dataclass(frozen=True)
class Wanted:
    """What the options of a run say about the task and about waiting for it."""

    label: str | None
    retries: int | None
    retry_delay: float | None
    task_timeout: float | None
    wait: bool
    timeout: float | None

    def require(self, om: Omega) -> OmegaRuntime:
        """Return the runtime that runs the task as wanted."""
        return om.runtime.require(
            label=self.label, retries=self.retries, retry_delay=self.retry_delay, timeout=self.task_timeout
        )


_SECONDS = click.FloatRange(min=0)
_OPTIONS = (
    click.option(
        "-p",
        "--param",
        "parameters",
        multiple=True,
        type=Pair(),
        metavar="NAME=VALUE",
        help="Keyword argument or parameter, JSON or else text; repeatable.",
    ),
    click.option("--label", metavar="LABEL", help="Labels the worker must have, like gpu or gpu,big."),
    click.option("--retries", type=click.IntRange(min=0), help="Attempts beyond the first."),
    click.option("--retry-delay", type=_SECONDS, help="Seconds between a failed attempt and the next."),
    click.option("--task-timeout", type=_SECONDS, help="Run time of one attempt in seconds."),
    click.option(
        "--wait/--detach",
        default=True,
        help="Show the task until it is over and print its value (the default), or print its id.",
    ),
    click.option("--timeout", type=_SECONDS, help="Seconds to wait for the value."),
)


def _running(command: Command) -> Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return common(command)


@click.group(cls=Group, short_help="Run a model, a script or a notebook.")
@common
def run() -> None:
    """Run a model's action, a script or a notebook.

    How the task stands goes to stderr, as a table on a terminal and else as a line for each change, and its value to
    stdout; with --detach its id goes to stdout. Values of ARG and -p are JSON where they can be read as JSON, and the
    text itself where not.
    """


@run.command(short_help="Run an action of a model.")
@click.argument("name")
@click.argument("action", type=Word("action", ACTIONS))
@click.argument("data", nargs=-1, metavar="[X] [Y]")
@_running
@pass_settings
def model(
    settings: Settings, /, name: str, action: str, data: tuple[str, ...], parameters: tuple[Any, ...], **wanted: Any
) -> None:
    """Run ACTION of the model NAME on X and Y.

    ACTION is fit, partial_fit, predict, predict_proba, transform, fit_transform, decision_function, score,
    gridsearch or reduce.
    X and Y name datasets, with a selector where wanted ('iris[^y]', 'iris[y]'), or are data as a JSON list or object.
    -p rName=NAME stores the value as a dataset.
    """
    keywords = dict(parameters)

    def start(runtime: OmegaRuntime) -> AsyncResult:
        method = getattr(runtime.model(name), action)
        arguments = [_data(each) for each in data]
        try:
            inspect.signature(method).bind(*arguments, **keywords)
            handle: AsyncResult = method(*arguments, **keywords)
        except TypeError as exc:
            raise click.UsageError(f"model {action}: {exc}") from exc
        return handle

    _carry_out(settings, start, Wanted(**wanted))


@run.command(short_help="Run a script.")
@click.argument("name")
@click.argument("args", nargs=-1, metavar="[ARG]...")
@_running
@pass_settings
def script(
    settings: Settings, /, name: str, args: tuple[str, ...], parameters: tuple[Any, ...], **wanted: Any
) -> None:
    """Run the script NAME with arguments; put -- before one that begins with a dash."""
    _carry_out(
        settings,
        lambda runtime: runtime.script(name).run(*map(parsed, args), **dict(parameters)),
        Wanted(**wanted),
    )


@run.command(short_help="Run a notebook.")
@click.argument("name")
@click.argument("args", nargs=-1, metavar="[ARG]...")
@_running
@pass_settings
def job(settings: Settings, /, name: str, args: tuple[str, ...], parameters: tuple[Any, ...], **wanted: Any) -> None:
    """Run the notebook NAME; -p binds a variable of it, and every ARG is in its job['args'].

    The value is the executed copy that the run has left in the store.
    """
    given = dict(parameters)
    if "timeout" in given:
        raise click.UsageError("a parameter 'timeout' is the time limit of the run; say --task-timeout")
    _carry_out(settings, lambda runtime: runtime.job(name).run(*map(parsed, args), **given), Wanted(**wanted))


def _data(text: str) -> Any:
    """Return a name as it is, and a JSON list or object as the data that it is."""
    value = parsed(text)
    return value if isinstance(value, (list, dict)) else text


def _carry_out(settings: Settings, start: Callable[[OmegaRuntime], AsyncResult], wanted: Wanted) -> None:
    from omruntime.abc import Capability

    if not wanted.wait and wanted.timeout is not None:
        raise click.UsageError("--timeout is for waiting, and --detach does not wait; did you mean --task-timeout?")
    with settings.opened() as om:
        handle = start(wanted.require(om))
        detached = Capability.DETACHED in om.runtime.backend.capabilities
        if not wanted.wait:
            click.echo(json.dumps({"id": handle.id}) if settings.json else handle.id)
            if not detached:
                click.echo("the worker ends with this process, so it stays until the task is over", err=True)
            return
        try:
            with following(Board(om, [handle])):
                value = await_value(handle, wanted.timeout, ends_with_us=not detached)
        except KeyboardInterrupt:
            click.echo(f"\n{_left(settings, handle, detached)}", err=True)
            raise
        if settings.json:
            print_json({"id": handle.id, "status": handle.status, "value": value})
        else:
            print_value(value)


def _left(settings: Settings, handle: AsyncResult, goes_on: bool) -> str:
    """Return what becomes of a task that is not waited for any more, and how to find it."""
    if goes_on:
        return f"task {handle.id} goes on; wait for it with: {hint(settings, 'result', handle.id)}"
    found = hint(settings, "status", handle.id)
    return f"task {handle.id} ends with its worker, which belongs to this command; what is known of it: {found}"
