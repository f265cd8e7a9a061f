"""Commands on stored objects: put and ls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omruntime.cli.output import print_json, print_table
from omruntime.cli.progress import working
from omruntime.cli.settings import Settings, common, pass_settings
from omruntime.cli.sources import read_source
from omruntime.cli.words import Word

if TYPE_CHECKING:
    from omruntime import Metadata, Omega

__all__ = ["ls", "put"]

STORES = ("datasets", "models", "scripts", "jobs")


_BY_SUFFIX = {".ipynb": "jobs", ".py": "jobs", ".pkl": "models", ".joblib": "models"}


class _Store(Word):
    """The word for a store; a file in its place is told where it belongs."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word, or fail with what may have been meant."""
        path = Path(str(value))
        if value not in STORES and (path.suffix or path.is_dir()):
            kind = _BY_SUFFIX.get(path.suffix, "datasets") if path.suffix else "scripts"
            self.fail(f"the store comes first, and the file last: put {kind} {path.stem} {value}", param, ctx)
        return super().convert(value, param, ctx)


@click.command(short_help="Store a file or a script package.")
@click.argument("kind", type=_Store("store", STORES), metavar="STORE")
@click.argument("name")
@click.argument("source")
@click.option("--append", is_flag=True, help="Add the rows to the dataset instead of replacing it.")
@click.option("--tag", metavar="TAG", help="A tag for this version of a model.")
@click.option("--trust", is_flag=True, help="Load a pickled model although that runs the code in it.")
@common
@pass_settings
def put(settings: Settings, kind: str, name: str, source: str, append: bool, tag: str | None, trust: bool) -> None:
    """Store SOURCE under NAME.

    STORE is one of datasets (.csv, .parquet, .json, .npy), models (a pickle, with --trust), scripts (the directory of
    a package), jobs (.ipynb; a .py becomes a notebook of one cell).
    """
    if append and kind != "datasets":
        raise click.UsageError(f"--append is for datasets; {kind} are replaced as a whole")
    if tag is not None and kind != "models":
        raise click.UsageError(f"--tag is for models; {kind} have no versions")
    options: dict[str, object] = {"append": True} if append else {"tag": tag} if tag is not None else {}
    with working(f"putting {name}"), settings.opened() as om:
        meta = getattr(om, kind).put(read_source(kind, source, trust=trust), name, **options)
        if settings.json:
            print_json(meta)
        else:
            click.echo(f"{kind}: {meta.name} ({meta.kind}) in bucket {meta.bucket}")


@click.command(short_help="List stored objects.")
@click.argument("kind", type=Word("store", STORES), metavar="[STORE]", required=False)
@click.argument("pattern", required=False)
@common
@pass_settings
def ls(settings: Settings, kind: str | None, pattern: str | None) -> None:
    """List stored objects, of all stores or of STORE, whose name fits PATTERN (like 'iris*')."""
    with settings.opened() as om:
        found = [(each, meta) for each in ([kind] if kind else STORES) for meta in _listed(om, each, pattern)]
        if settings.json:
            print_json([{"store": each, **_described(meta)} for each, meta in found])
            return
        rows = [
            (each, meta.name, meta.kind, meta.modified.astimezone().strftime("%Y-%m-%d %H:%M:%S"))
            for each, meta in found
        ]
        print_table(
            ("store", "name", "kind", "modified"), rows, empty=f"bucket {om.bucket} of {om.store.url} is empty"
        )


def _listed(om: Omega, store: str, pattern: str | None) -> list[Metadata]:
    listed: list[Metadata] = getattr(om, store).list(pattern, raw=True)
    return listed


def _described(meta: Metadata) -> dict[str, object]:
    fields = ("name", "bucket", "prefix", "kind", "tag", "version", "created", "modified")
    return {name: getattr(meta, name) for name in fields}
