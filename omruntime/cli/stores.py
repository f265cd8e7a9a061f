"""Commands on whole stores: ``store copy``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from omruntime.cli.output import print_json
from omruntime.cli.progress import copying
from omruntime.cli.settings import Settings, common, pass_settings
from omruntime.cli.words import Group
from omruntime.errors import StoreUnavailable

if TYPE_CHECKING:
    from omruntime.store.copying import Tally

__all__ = ["store"]

_TOLD = ("objects", "tasks", "blobs", "bytes", "kept", "changed", "unsettled", "left")
_NOTES = {
    "left": "not over, and so not in the copy",
    "changed": "changed while it was copied, and copied again",
    "unsettled": "changed even in the last look, so copy once more when nothing uses the store",
}
_GOES_ON = "what was copied stays, and the same command goes on from there"


@click.group(cls=Group, short_help="Copy a whole store into another one.")
def store() -> None:
    """Commands on whole stores."""


@store.command(short_help="Copy a whole store into another one.")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--replace", is_flag=True, help="Replace what TO has under the same names.")
@click.option("--in-use", is_flag=True, help="Copy although FROM is in use, and leave out tasks that are not over.")
@common
@pass_settings
def copy(settings: Settings, source: str, target: str, replace: bool, in_use: bool) -> None:
    """Copy all buckets of the store FROM, and the tasks in it that are over, into the store TO.

    FROM and TO are URLs, as sqlite:///here or mongodb://host/db; TO is made where there is none, and what is in it
    already stays. Everything is verified by its digest. A copy that was interrupted goes on by the same command. A
    URL with a password is better given by OMRUNTIME_STORE, and here without it.
    """
    if settings.store or settings.bucket or settings.runtime:
        raise click.UsageError(
            "store copy takes two URLs, FROM and TO, and copies all buckets: leave --store, --bucket and --runtime "
            "out"
        )
    facts = _copied(source, target, replace=replace, in_use=in_use)
    if settings.json:
        print_json(facts)
    else:
        _tell(facts)


def _copied(source: str, target: str, *, replace: bool, in_use: bool) -> dict[str, Any]:
    from omruntime.ledger.transfer import check_source, copy_store
    from omruntime.store import open_store
    from omruntime.store.copying import Tally

    tally = Tally()
    # What is said of a copy that was broken off comes when its bar is gone.
    with _going_on(tally), copying(tally), closing(open_store(source, create=False)) as held:
        check_source(held, in_use=in_use)
        with closing(open_store(target)) as wanted:
            copy_store(held, wanted, replace=replace, in_use=in_use, tally=tally)
            return {"from": held.url, "to": wanted.url, **{name: getattr(tally, name) for name in _TOLD}}


@contextmanager
def _going_on(tally: Tally) -> Iterator[None]:
    """Say of a copy that was broken off that it can be gone on with."""
    try:
        yield
    except KeyboardInterrupt:
        if tally.done:
            click.echo(_GOES_ON, err=True)
        raise
    except StoreUnavailable as exc:
        if tally.lost or not tally.done:
            raise
        raise StoreUnavailable(f"{exc}; {_GOES_ON}") from exc


def _tell(facts: dict[str, Any]) -> None:
    from omruntime.pictures.texts import size
    from omruntime.store.copying import few

    click.echo(
        f"{facts['to']} has {facts['objects']} objects and {facts['tasks']} tasks of {facts['from']}, verified: "
        f"{facts['blobs']} blobs ({size(facts['bytes'])}) sent, {facts['kept']} were there"
    )
    for name, what in _NOTES.items():
        if facts[name]:
            click.echo(f"{what}: {few(facts[name])}", err=True)
