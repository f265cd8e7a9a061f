"""What Dask raises, as omruntime says it."""

from __future__ import annotations

from distributed.client import ClosedClientError
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from omruntime.abc import Translations
from omruntime.abc.carrying import refusal
from omruntime.errors import BackendUnavailable, OmegaRuntimeError

__all__ = ["ERRORS", "why_refused"]

_BACK = "what is recorded runs when it is back"

ERRORS: Translations = {
    ClosedClientError: (
        BackendUnavailable,
        "the Dask client for {address} is closed; make a new one, and a new runtime with it: om.runtime = ...",
    ),
    CommClosedError: (BackendUnavailable, f"the Dask scheduler at {{address}} has gone away: {{error}}; {_BACK}"),
    TimeoutError: (BackendUnavailable, f"the Dask scheduler at {{address}} does not answer in time; {_BACK}"),
    OSError: (BackendUnavailable, f"the Dask scheduler at {{address}} cannot be reached: {{error}}; {_BACK}"),
}


def why_refused(error: BaseException | None) -> OmegaRuntimeError | None:
    """Return what is told to whoever waits for a call that Dask has ended with an error.

    None where the ledger tells what has become of it: Dask gives a task up when several of its workers have died.
    """
    if error is None or isinstance(error, KilledWorker):
        return None
    if isinstance(error, RuntimeError) and len(error.args) == 2:
        return refusal(*map(str, error.args))
    return BackendUnavailable(
        f"the Dask cluster could not bring the call to a worker of omruntime: {type(error).__name__}: {error}; "
        "all its programs need the same version of distributed, and its workers omruntime-dask"
    )
