"""What every command takes: which store, which engine, which bucket, and how to print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from omruntime import Omega, OmegaRuntime

__all__ = ["Settings", "common", "pass_settings"]

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Settings:
    """The options that may stand before or after the command; the one behind it wins."""

    store: str | None = None
    runtime: str | None = None
    bucket: str | None = None
    json: bool = False
    debug: bool = False

    @contextmanager
    def opened(self, runtime: OmegaRuntime | None = None) -> Iterator[Omega]:
        """Open the Omega that was asked for; after an error open tasks are not waited for."""
        from omruntime import Omega

        om = Omega(self.store, runtime or self.runtime, self.bucket)
        try:
            yield om
        except BaseException:
            om.close(wait=False)
            raise
        om.close()


pass_settings = click.make_pass_decorator(Settings, ensure=True)


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    settings = ctx.ensure_object(Settings)
    if value:
        setattr(settings, str(param.name), value)


_OPTIONS = (
    click.option("--store", metavar="URL", help="The store, as sqlite:///here.", expose_value=False, callback=_keep),
    click.option("--runtime", metavar="URL", help="The engine, as local://.", expose_value=False, callback=_keep),
    click.option("--bucket", metavar="NAME", help="The bucket of the objects.", expose_value=False, callback=_keep),
    click.option("--json", is_flag=True, help="Print JSON.", expose_value=False, callback=_keep),
    click.option("--debug", is_flag=True, help="Show our own traceback.", expose_value=False, callback=_keep),
)


def common(command: Command) -> Command:
    """Give a command the options that all have."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
