"""The command ``demo``: real data, real models, real worker processes, in some seconds."""

from __future__ import annotations

from importlib.util import find_spec

import click

from omruntime.cli.settings import Settings, common, pass_settings
from omruntime.errors import MissingExtra

__all__ = ["demo"]

BUCKET = "demo"


@click.command(short_help="See it work on real data.")
@common
@pass_settings
def demo(settings: Settings) -> None:
    """See it work: fit two models on real data in worker processes and use them, then map a notebook and reduce.

    Everything is kept in the bucket 'demo' of the store, and a second run replaces it.
    """
    missing = [name for name in ("sklearn", "pandas", "pyarrow", "nbclient") if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"the demo fits models on data and runs notebooks, and {', '.join(missing)} is not installed; "
            "pip install 'omruntime[all]', then run it again"
        )
    from omruntime.cli.demo.show import play

    settings.bucket = settings.bucket or BUCKET
    play(settings)
