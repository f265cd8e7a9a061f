"""The command ``steward``: looks after the tasks of a store."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from omruntime.cli.output import print_json
from omruntime.cli.settings import Settings, common, pass_settings
from omruntime.errors import ResultExpired, StoreUnavailable

if TYPE_CHECKING:
    from omruntime import Omega
    from omruntime.ledger import Ledger, Report, Steward
    from omruntime.store.sweeping import Swept

__all__ = ["outcome", "steward"]

_DAY = 24 * 3600.0
_HOUSEKEEPING = 3600.0
"""Seconds between two looks for what has expired and for litter."""
_LITTER_AGE = 3600.0
"""Seconds after which what a writer has left half-written counts as litter."""


@click.command(short_help="Look after the tasks of a store.")
@click.option("--once", is_flag=True, help="One pass, then end.")
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds between passes."
)
@click.option(
    "--expire",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    default=7.0,
    show_default=True,
    help="Age at which records and values of tasks that are over go.",
)
@common
@pass_settings
def steward(settings: Settings, once: bool, interval: float, expire: float) -> None:
    """End what is lost, expire old records, sweep litter; any number of stewards may work on one store.

    A worker on another machine counts as lost when its lease has not been renewed while this steward was watching, so
    a single pass (--once) ends only what is certainly gone.
    """
    with settings.opened() as om:
        if not (once or settings.json):
            click.echo(f"looking after {om.store.url} every {interval:g} s; Ctrl-C ends it", err=True)
        _look_after(settings, om, None if once else interval, expire * _DAY)


def _look_after(settings: Settings, om: Omega, interval: float | None, expire: float) -> None:
    from omruntime.ledger import Report, Steward
    from omruntime.worker.endings import VerdictMaker

    ledger = om.session.ledger
    looking = Steward(ledger, VerdictMaker(ledger, om.session.auth))
    tidied = None
    while True:
        swept = None
        try:
            report = looking.step()
            if tidied is None or time.monotonic() - tidied > _HOUSEKEEPING:
                swept = _tidy(om, looking, report, expire)
                tidied = time.monotonic()
        except StoreUnavailable as exc:
            if interval is None or tidied is None:
                raise
            # It may come back, and nobody else may be there to look after it then.
            click.echo(f"warning: {exc}", err=True)
            report = Report()
        if interval is None or _did_something(report, swept):
            _tell(settings, report, swept)
        if interval is None:
            return
        time.sleep(interval)


def _tidy(om: Omega, looking: Steward, report: Report, expire: float) -> Swept:
    """Sweep and expire; in this order, since the sweep asks the records what has become of tasks."""
    from omruntime.store.sweeping import sweep

    swept = sweep(om.store, lambda task, attempt: outcome(om.session.ledger, task, attempt), _LITTER_AGE)
    report.expired = looking.expire(expire)
    return swept


def outcome(ledger: Ledger, task: str, attempt: int) -> bool | None:
    """Tell whether an attempt has won its task; None while that is open.

    What a task has stored goes with its record if it was not made current before, since readers ask the record too.
    """
    state = ledger.states([task])[task]
    if isinstance(state, Exception):
        return False if isinstance(state, ResultExpired) else None
    if state.end is None:
        return False if attempt < state.attempt else None
    return attempt == state.attempt and state.end.state == "SUCCESS"


def _did_something(report: Report, swept: Swept | None) -> bool:
    return bool(
        report.lost
        or report.ended
        or report.sent
        or report.expired
        or (swept is not None and any(asdict(swept).values()))
    )


def _tell(settings: Settings, report: Report, swept: Swept | None) -> None:
    facts: dict[str, Any] = {
        "open": report.open,
        "lost": report.lost,
        "ended": report.ended,
        "sent": report.sent,
        "expired": report.expired,
        "swept": swept.blobs + swept.revisions if swept is not None else 0,
    }
    if settings.json:
        print_json(facts)
        return
    counts = {name: value if isinstance(value, int) else len(value) for name, value in facts.items()}
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    for name in ("lost", "ended", "sent"):
        for task in facts[name]:
            click.echo(f"  {name} {task}")
