"""The command ``omruntime-conformance``: what the contract says, and what an engine keeps of it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from omruntime_conformance.cli.mutants import mutants
from omruntime_conformance.cli.rules import contract, explain, list_rules
from omruntime_conformance.cli.running import run
from omruntime_conformance.cli.tables import diff, matrix

__all__ = ["app", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="omruntime-conformance")
def app() -> None:
    """Prove, rule by rule and on the real engine, that a backend of omruntime keeps the contract."""


for _command in (run, list_rules, explain, contract, matrix, diff, mutants):
    app.add_command(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; 2 for what cannot be carried out."""
    try:
        code = app.main(argv, prog_name="omruntime-conformance", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort:
        return 130
    return int(code or 0)
