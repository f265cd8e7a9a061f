"""Commands on one task or a few: cancel and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from omruntime.cli.failures import exit_code, message_of
from omruntime.cli.hints import hint
from omruntime.cli.output import print_json
from omruntime.cli.progress import working
from omruntime.cli.settings import Settings, common, pass_settings
from omruntime.cli.tasks import find
from omruntime.errors import OmegaRuntimeError, ResultTimeout

if TYPE_CHECKING:
    from omruntime import AsyncResult, Omega

__all__ = ["cancel", "logs"]


@click.command(short_help="Cancel tasks.")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@common
@pass_settings
def cancel(settings: Settings, ids: tuple[str, ...]) -> None:
    """Cancel the tasks ID...: one that waits never starts, one that runs is stopped with all it has started.

    What is over already is left as it is, and no error. An ID that cannot be cancelled keeps none of the others from
    it, and gives the exit code.
    """
    with settings.opened() as om:
        answers, codes = [], []
        for id in dict.fromkeys(ids):
            try:
                answers.append(_cancelled(om, id))
            except OmegaRuntimeError as exc:
                answers.append({"id": id, "error": {"type": type(exc).__name__, "message": message_of(exc)}})
                codes.append(exit_code(exc))
        if settings.json:
            print_json(answers)
        else:
            for answer in answers:
                _tell(answer)
    if codes:
        click.get_current_context().exit(int(codes[0] or 1))


def _cancelled(om: Omega, id: str) -> dict[str, Any]:
    handle = find(om, id)
    before = handle.status
    done = handle.cancel()
    return {"id": id, "cancelled": done, "before": before, "status": handle.status}


def _tell(answer: dict[str, Any]) -> None:
    if "error" in answer:
        click.echo(f"error: {answer['error']['message']}", err=True)
    elif not answer["cancelled"]:
        click.echo(f"{answer['id']}  over already: {answer['status']}")
    elif answer["before"] == "STARTED":
        click.echo(f"{answer['id']}  cancelled; it was running, and is being stopped")
    else:
        click.echo(f"{answer['id']}  cancelled; it had not started, and never will")


@click.command(short_help="Print what a task has printed.")
@click.argument("id")
@click.option("--lines", type=click.IntRange(min=1), help="The last lines only.")
@click.option("--wait", is_flag=True, help="Wait until the task is over.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait at the most, with --wait.")
@common
@pass_settings
def logs(settings: Settings, id: str, lines: int | None, wait: bool, timeout: float | None) -> None:
    """Print what the task ID has printed; it is kept when the task is over."""
    if timeout is not None and not wait:
        raise click.UsageError("--timeout is for waiting; say --wait as well")
    with settings.opened() as om:
        handle = find(om, id)
        _be_over(settings, handle, timeout if wait else 0.0)
        text = handle.logs()
        if lines is not None:
            text = "\n".join(text.splitlines()[-lines:])
        if settings.json:
            print_json({"id": id, "status": handle.status, "logs": text})
        elif text:
            click.echo(text, nl=not text.endswith("\n"))
        else:
            click.echo(f"task {id} is over ({handle.status}), and there is no output of it", err=True)


def _be_over(settings: Settings, handle: AsyncResult, timeout: float | None) -> None:
    """Wait until a task is over, however it ends.

    Raises:
        ResultTimeout: it is not.
    """
    if handle.ready():
        return
    if timeout != 0:
        with working(f"waiting for {handle.id}"):
            try:
                handle.future().exception(timeout)
            except TimeoutError:
                pass
    if not handle.ready():
        raise ResultTimeout(
            f"task {handle.id} is {handle.status}, and what it prints is kept when it is over; wait for that with: "
            + hint(settings, "logs", handle.id, "--wait")
        )
