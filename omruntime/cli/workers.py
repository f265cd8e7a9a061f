"""Commands on engines: workers, labels and backends."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from omruntime.cli.output import print_json, print_table
from omruntime.cli.progress import working
from omruntime.cli.settings import Settings, common, pass_settings
from omruntime.errors import OmegaRuntimeError

if TYPE_CHECKING:
    from omruntime import Omega
    from omruntime.abc import WorkerInfo

__all__ = ["backends", "labels", "workers"]

_START = "'omruntime worker --runtime URL --label gpu' starts one"


@click.command(short_help="List live workers.")
@common
@pass_settings
def workers(settings: Settings) -> None:
    """List the live workers of the engine; for local:// those that every command starts for itself."""
    with working("looking for workers"), settings.opened() as om:
        found = sorted(om.runtime.workers(), key=lambda each: each.name)
        address = om.runtime.engine.address
    if settings.json:
        print_json([
            {"name": each.name, "labels": list(each.labels), "host": each.host, "pid": each.pid, "slots": each.slots}
            for each in found
        ])  # fmt: skip
        return
    rows = [(each.name, ", ".join(each.labels), each.host, each.pid, each.slots) for each in found]
    print_table(("worker", "labels", "host", "pid", "slots"), rows, empty=f"no worker answers at {address}; {_START}")
    if address.startswith("local://"):
        click.echo("workers of local:// are started by each process that needs them, and end with it", err=True)


@click.command(short_help="List labels, and who has them.")
@common
@pass_settings
def labels(settings: Settings) -> None:
    """List the labels of the live workers, and those that tasks wait for, with how many do.

    A task that needs several labels, like 'big,gpu', waits for one worker that has them all.
    """
    with working("looking for workers"), settings.opened() as om:
        found = om.runtime.workers()
        address = om.runtime.engine.address
        waiting = _waiting(om)
    names = sorted({label for each in found for label in each.labels} | set(waiting))
    rows = [_label(name, found, waiting[name]) for name in names]
    if settings.json:
        print_json(rows)
        return
    columns = ("label", "workers", "slots", "waiting")
    table = [(row["label"], len(row["workers"]), row["slots"], row["waiting"]) for row in rows]
    print_table(columns, table, empty=f"no worker answers at {address}, and no task waits for one; {_START}")
    for row in rows:
        if not row["workers"]:
            click.echo(
                f"no worker has the label {row['label']!r}, and {_tasks(row['waiting'])} for one; start a worker "
                "that has it, or cancel them",
                err=True,
            )


def _waiting(om: Omega) -> Counter[str]:
    """Count the tasks that have not started, by the label that they need."""
    ledger = om.session.ledger
    needed = {task: request.label for task, request in ledger.open_tasks()}
    states = ledger.states(needed)
    return Counter(
        needed[task]
        for task, state in states.items()
        if not isinstance(state, Exception) and state.status == "PENDING"
    )


def _label(label: str, workers: list[WorkerInfo], waiting: int) -> dict[str, Any]:
    having = [each for each in workers if set(label.split(",")) <= set(each.labels)]
    return {
        "label": label,
        "workers": sorted(each.name for each in having),
        "slots": sum(each.slots for each in having),
        "waiting": waiting,
    }


def _tasks(count: int) -> str:
    return "1 task waits" if count == 1 else f"{count} tasks wait"


@click.command(short_help="List installed engines.")
@common
@pass_settings
def backends(settings: Settings) -> None:
    """List the engines that are installed, and what each can do at the most."""
    from omruntime.plugins import installed_backends

    installed = installed_backends()
    rows_of_all = [_backend(name, entries) for name, entries in sorted(installed.items())]
    # An engine that has several names is one row, which has all its schemes.
    found = [row for row in rows_of_all if (engine := row.pop("engine")) == row["name"] or engine not in installed]
    if settings.json:
        print_json(found)
        return
    rows = [
        (each["name"], each["package"], ", ".join(each["schemes"]), ", ".join(each["capabilities"]) or each["error"])
        for each in found
    ]
    print_table(("engine", "package", "schemes", "capabilities"), rows, empty="no engine is installed")


def _backend(name: str, entries: list[Any]) -> dict[str, Any]:
    """Describe one engine; one that is broken says how in its own row."""
    from omruntime.plugins import load_backend_class

    owners = sorted({f"{each.dist.name} {each.dist.version}" for each in entries if each.dist is not None})
    row = {"name": name, "package": ", ".join(owners), "schemes": [], "capabilities": [], "error": "", "engine": ""}
    try:
        backend = load_backend_class(name)
        engine, schemes = backend.name, list(backend.schemes)
        capabilities = sorted(each.name for each in backend.capabilities)
    except (OmegaRuntimeError, AttributeError, TypeError) as exc:
        return {**row, "error": f"broken: {exc}"}
    return {**row, "schemes": schemes, "capabilities": capabilities, "engine": engine}
