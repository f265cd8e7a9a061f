"""Workers of Dask's own command that are hosts of omruntime too: what happens when such a worker starts and ends."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import msgspec
from distributed import Worker

from omruntime.auth import default_auth
from omruntime.errors import BackendUnavailable, OmegaRuntimeError
from omruntime.worker import Host
from omruntime_dask.backend import DaskBackend
from omruntime_dask.connection import Connection
from omruntime_dask.names import address_of, labels_of, resources_of
from omruntime_dask.worker import Station, leave, station_at

__all__ = ["join", "part"]

_log = logging.getLogger("omruntime.worker")
_DEFAULT = "default"
_ATTEMPTS = 3
"""A scheduler that is too busy to answer in time is not one that is not there: the worker would never be ours."""
_joined: dict[str, tuple[DaskBackend, Host]] = {}


async def join(worker: Worker) -> None:
    """Make a host for a worker that is about to register: its labels by its resources, a slot for each thread.

    Where that cannot be, the worker is left to Dask alone, and is given nothing of ours.
    """
    labels = labels_of(worker.state.total_resources) or [_DEFAULT]
    try:
        backend, host = await _opened(worker, labels)
    except (OmegaRuntimeError, OSError, ValueError) as exc:
        for name in resources_of(labels):
            worker.state.total_resources.pop(name, None)
            worker.state.available_resources.pop(name, None)
        _log.error("this Dask worker is given no tasks of omruntime: %s: %s", type(exc).__name__, exc)
        return
    # However few it was told to offer: a task that waits for others keeps what it has, and they need some too.
    worker.state.total_resources.update(resources_of(labels))
    worker.state.available_resources.update(resources_of(labels))
    worker.metrics["omruntime"] = lambda worker: msgspec.to_builtins(list(backend.announced))
    _joined[worker.address] = backend, host
    station_at(worker, Station(worker, host, ",".join(labels)))
    loop = asyncio.get_running_loop()
    backend.on_announced = lambda: loop.call_soon_threadsafe(_tell, worker)


def _tell(worker: Worker) -> Any:
    # Before it is registered, and when it leaves, there is nobody to be told.
    return asyncio.ensure_future(worker.heartbeat()) if worker.status.name == "running" else None


async def _opened(worker: Worker, labels: list[str]) -> tuple[DaskBackend, Host]:
    for _ in range(_ATTEMPTS - 1):
        try:
            return await asyncio.to_thread(_open, worker, labels)
        except BackendUnavailable as exc:
            _log.warning("%s; this worker tries again", exc)
    return await asyncio.to_thread(_open, worker, labels)


def _open(worker: Worker, labels: list[str]) -> tuple[DaskBackend, Host]:
    auth = default_auth()
    backend = DaskBackend(Connection(_address(worker), worker.security), False)
    try:
        host = Host.of(backend, {",".join(labels): worker.state.nthreads}, auth)
        try:
            if store := os.environ.get("OMRUNTIME_STORE"):
                host.look_after(store)
        except BaseException:
            host.close(wait=False)
            raise
    except BaseException:
        backend.close()
        raise
    return backend, host


def _address(worker: Worker) -> str:
    """Return the scheduler's address as clients write it: stewards send again what was sent there.

    It is that of the worker's own command line, unless ``OMRUNTIME_RUNTIME`` names the same scheduler differently.
    """
    url = os.environ.get("OMRUNTIME_RUNTIME", "")
    ours = url.partition("://")[0] in DaskBackend.schemes or url.startswith("dask+")
    return address_of(url if ours and url.partition("://")[2] else worker.scheduler.address)


async def part(worker: Worker) -> None:
    """Close the host of a worker that ends: it takes no more, and finishes what it runs."""
    if (joined := _joined.pop(worker.address, None)) is None:
        return
    backend, host = joined
    backend.on_announced = None
    station = station_at(worker, None)
    if station is not None:
        station.close()
    await leave(worker)
    await asyncio.to_thread(host.close)
    await asyncio.to_thread(backend.close)
