"""The command ``steward``: looks after the tasks of a store."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from omruntime.cli.output import print_json
from omruntime.cli.settings import Settings, common, pass_settings
from omruntime.errors import BackendUnavailable, StoreUnavailable

if TYPE_CHECKING:
    from omruntime import Omega
    from omruntime.ledger import Report
    from omruntime.worker.stewarding import Tidied

__all__ = ["steward"]

_DAY = 24 * 3600.0


@click.command(short_help="Look after the tasks of a store.")
@click.option("--once", is_flag=True, help="One pass, then end.")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds between passes."
)
@click.option(
    "--expire",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    help="Age at which records and values of tasks that are over go; default OMRUNTIME_EXPIRE_DAYS, or 7.",
)
@common
@pass_settings
def steward(settings: Settings, once: bool, interval: float, expire: float | None) -> None:
    """End what is lost, expire old records, sweep litter; any number of stewards may work on one store.

    With the address of an engine, --runtime or OMRUNTIME_RUNTIME, it also sends again what is owed there and what
    the engine has lost, and brings canvases forward, as the workers of that engine do.

    A worker on another machine counts as lost when its lease has not been renewed while this steward was watching, so
    a single pass (--once) ends only what is certainly gone.
    """
    with settings.opened() as om:
        if not (once or settings.json):
            engine = om.runtime.engine.address
            sends = f", and sends again to {engine}" if engine.partition("://")[2] else ""
            click.echo(f"looking after {om.store.url} every {interval:g} s{sends}; Ctrl-C ends it", err=True)
        _look_after(settings, om, None if once else interval, expire * _DAY if expire is not None else None)


def _look_after(settings: Settings, om: Omega, interval: float | None, expire: float | None) -> None:
    from omruntime.ledger import Report
    from omruntime.worker.stewarding import Caretaker

    ledger, auth, engine = om.session.ledger, om.session.auth, om.runtime.engine
    if engine.address.partition("://")[2]:
        looking = Caretaker.for_engine(ledger, auth, engine.backend, expire)
    else:
        looking = Caretaker(ledger, auth, expiry=expire)
    first = True
    while True:
        tidied = None
        try:
            report = looking.step()
            tidied = looking.tidy_when_due()
        except (StoreUnavailable, BackendUnavailable) as exc:
            if interval is None or first:
                raise
            # It may come back, and nobody else may be there to look after it then.
            click.echo(f"warning: {exc}", err=True)
            report = Report()
        first = False
        if interval is None or _did_something(report, tidied):
            _tell(settings, report, tidied)
        if interval is None:
            return
        time.sleep(interval)


def _did_something(report: Report, tidied: Tidied | None) -> bool:
    swept = tidied is not None and (tidied.expired or tidied.blobs or any(asdict(tidied.swept).values()))
    return bool(report.lost or report.ended or report.sent or swept)


def _tell(settings: Settings, report: Report, tidied: Tidied | None) -> None:
    facts: dict[str, Any] = {
        "open": report.open,
        "lost": report.lost,
        "ended": report.ended,
        "sent": report.sent,
        "expired": tidied.expired if tidied is not None else 0,
        "swept": tidied.blobs + tidied.swept.blobs + tidied.swept.revisions if tidied is not None else 0,
    }
    if settings.json:
        print_json(facts)
        return
    counts = {name: value if isinstance(value, int) else len(value) for name, value in facts.items()}
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    for name in ("lost", "ended", "sent"):
        for task in facts[name]:
            click.echo(f"  {name} {task}")
