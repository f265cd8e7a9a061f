"""The command ``worker``: a worker process for an engine."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Mapping
from typing import Any

import click

from omruntime.cli.settings import Settings, common, pass_settings

__all__ = ["worker"]


@click.command(short_help="Work for an engine.")
@click.option(
    "--label", default="default", show_default=True, metavar="LABELS", help="Labels, with commas: each slot has all."
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    help="Slots: how many tasks at a time; default one for each core.",
)
@common
@pass_settings
def worker(settings: Settings, label: str, concurrency: int | None) -> None:
    """Be a worker of the engine at --runtime, until it is ended by Ctrl-C or SIGTERM.

    It finishes its tasks then; a second Ctrl-C ends it at once, and other workers run its tasks again. The store is
    the one that a call names, and with --store or OMRUNTIME_STORE that one is looked after from the beginning. Every
    worker is a steward of its stores. A worker needs the key of those who send it work: 'omruntime key' prints how.

    For Celery at a Redis: omruntime worker --runtime celery+redis://host/0 --label gpu --concurrency 2
    """
    from omruntime.client.slots import slot_counts
    from omruntime.config import runtime_url
    from omruntime.masking import mask
    from omruntime.plugins import load_backend_class, scheme_of
    from omruntime.worker.private import private_url

    url = runtime_url(settings.runtime)
    kind = load_backend_class(scheme_of(url))
    if url == private_url(kind):
        raise click.UsageError(
            f"{url} has no address, and an engine without one starts its own workers; give the address of the engine "
            "that this worker shall work for: --runtime URL"
        )
    slots = slot_counts({label: concurrency or os.cpu_count() or 1}, "--label, --concurrency")
    _work(settings, kind, url, slots, mask(url))


def _work(settings: Settings, kind: Any, url: str, slots: Mapping[str, int], shown: str) -> None:
    from omruntime.auth import default_auth
    from omruntime.worker import Host
    from omruntime.worker.serving import serve

    auth, stop = default_auth(), threading.Event()
    backend = kind.open(url, auth=auth)
    try:
        host = Host.of(backend, slots, auth)
        try:
            if store := settings.store or os.environ.get("OMRUNTIME_STORE"):
                host.look_after(store)
            _end_by_signals(stop)
            click.echo(f"{len(host.workers())} slots {dict(slots)} work for {shown}; Ctrl-C ends them", err=True)
            serve(backend, host, stop)
        finally:
            host.close()
    finally:
        backend.close()


def _end_by_signals(stop: threading.Event) -> None:
    """Have the first signal end the worker when its tasks are over, and the second one at once."""

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()
        # Who reads what it says may be gone, and it may be saying something just now.
        with contextlib.suppress(OSError, RuntimeError):
            click.echo("no more calls are taken; the tasks that run are finished", err=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
