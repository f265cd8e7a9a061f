"""How the command ends: exit codes, and errors as one clear line."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from enum import IntEnum

import click

from omruntime import errors

__all__ = ["ExitCode", "TaskFailed", "exit_code", "message_of", "report"]


class ExitCode(IntEnum):
    """Exit codes of the command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4
    LATE = 5
    INTERRUPTED = 130


_CODES: tuple[tuple[tuple[type[BaseException], ...], ExitCode], ...] = (
    ((errors.ResultTimeout,), ExitCode.LATE),
    ((errors.TaskError, errors.MetadataConflict), ExitCode.FAILED),
    ((errors.UnknownTask, errors.ResultExpired, errors.ObjectNotFound), ExitCode.NOT_FOUND),
    (
        (
            errors.StoreUnavailable,
            errors.BackendUnavailable,
            errors.BackendNotInstalled,
            errors.MissingExtra,
            errors.NoSuchLabel,
            errors.RuntimeClosed,
            errors.SignatureError,
            errors.VersionMismatch,
        ),
        ExitCode.UNAVAILABLE,
    ),
    ((click.Abort, KeyboardInterrupt), ExitCode.INTERRUPTED),
    ((errors.OmegaRuntimeError, click.ClickException, ValueError, TypeError), ExitCode.USAGE),
    ((OSError,), ExitCode.UNAVAILABLE),
)


class TaskFailed(Exception):
    """A task has ended with an exception of its own, which is the cause.

    Attributes:
        task: id of the task.
        error: the exception.
    """

    def __init__(self, task: str, error: Exception) -> None:
        super().__init__(f"task {task} failed: {type(error).__name__}: {error}")
        self.task = task
        self.error = error


def exit_code(exc: BaseException) -> ExitCode | None:
    """Return the code that the command ends with; None for what can only be a mistake of ours."""
    if isinstance(exc, TaskFailed):
        return ExitCode.FAILED
    return next((code for kinds, code in _CODES if isinstance(exc, kinds)), None)


def report(exc: BaseException, words: Sequence[str]) -> int | None:
    """Say what went wrong and return the exit code; None, and nothing said, for what can only be a mistake of ours.

    Args:
        exc: what was raised.
        words: the command line.
    """
    code = exit_code(exc)
    if code is None:
        return None
    options = list(words[: words.index("--")] if "--" in words else words)
    if "--debug" in options:
        traceback.print_exception(exc)
    if "--json" in options:
        click.echo(json.dumps({"error": _described(exc)}))
    else:
        _show(exc)
    return int(code)


def _described(exc: BaseException) -> dict[str, str]:
    if isinstance(exc, TaskFailed):
        error = exc.error
        text = {"traceback": remote_traceback(error)} if remote_traceback(error) else {}
        name = getattr(error, "type_name", "") if type(error) is errors.TaskError else ""
        return {"type": name or type(error).__name__, "message": str(error), "task": exc.task, **text}
    return {"type": _type_name(exc), "message": message_of(exc)}


def _type_name(exc: BaseException) -> str:
    if isinstance(exc, click.ClickException):
        return "UsageError"
    return "Interrupted" if exit_code(exc) is ExitCode.INTERRUPTED else type(exc).__name__


def message_of(exc: BaseException) -> str:
    """Return what is said of an error."""
    if isinstance(exc, click.ClickException):
        return exc.format_message()
    if exit_code(exc) is ExitCode.INTERRUPTED:
        return "interrupted"
    return str(exc) or type(exc).__name__


def _show(exc: BaseException) -> None:
    if isinstance(exc, TaskFailed) and (text := remote_traceback(exc.error)):
        click.echo(text, err=True)
    if isinstance(exc, click.exceptions.NoArgsIsHelpError):
        click.echo(message_of(exc), err=True)
        return
    if isinstance(exc, click.UsageError) and exc.ctx is not None:
        click.echo(exc.ctx.get_usage(), err=True)
    label = click.style("error:", fg="red", bold=True) if sys.stderr.isatty() else "error:"
    click.echo(f"{label} {message_of(exc)}", err=True)


def remote_traceback(exc: BaseException) -> str:
    """Return the traceback of a task's exception and of its causes, the first cause first; empty without frames."""
    texts: list[str] = []
    link: BaseException | None = exc
    while link is not None:
        cause = link.__cause__
        if not isinstance(cause, errors.RemoteTraceback):
            break
        texts.append(cause.text.rstrip())
        link = cause.__cause__
    joined = "\n\nThe above exception led to this one:\n\n".join(reversed(texts))
    return joined if "Traceback" in joined else ""
