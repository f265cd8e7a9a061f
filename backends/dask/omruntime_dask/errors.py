"""What Dask raises, as omruntime says it."""

from __future__ import annotations

from distributed.comm import CommClosedError

from omruntime.abc import Translations
from omruntime.errors import BackendUnavailable

__all__ = ["ERRORS"]

ERRORS: Translations = {
    CommClosedError: (BackendUnavailable, "the Dask scheduler has gone away: {error}"),
    TimeoutError: (BackendUnavailable, "the Dask scheduler does not answer: {error}"),
    OSError: (BackendUnavailable, "the Dask scheduler cannot be reached: {error}"),
}
