"""Pages that are written from rules and reports, or compared with what is there."""

from __future__ import annotations

import sys
from pathlib import Path

import click

__all__ = ["written"]


def written(page: str, output: Path | None, *, check: bool) -> None:
    """Write a page to a file or to standard output; with ``check`` only compare it with the file.

    Raises:
        click.ClickException: the file is stale, or cannot be written.
    """
    if output is None:
        if check:
            raise click.UsageError("--check needs -o FILE, the file to compare with")
        click.echo(page, nl=False)
        return
    try:
        if not check:
            output.write_text(page, encoding="utf-8")
        elif output.read_text(encoding="utf-8") != page:
            words = " ".join(word for word in sys.argv[1:] if word != "--check")
            raise click.ClickException(f"{output} is stale; write it again: omruntime-conformance {words}")
    except OSError as exc:
        hint = "; give a file in a directory that exists" if not check else ""
        raise click.UsageError(f"cannot {'read' if check else 'write'} {output}: {exc.strerror}{hint}") from exc
