"""Who works in a host, told to its engine whenever that has changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from omruntime.abc import WorkerInfo
from omruntime.errors import OmegaRuntimeError

__all__ = ["Roster"]

_log = logging.getLogger("omruntime.worker")


class Roster:
    """Tells an engine of the workers of one host.

    Args:
        workers: lists them.
        announce: tells the engine; None where it need not be told.
    """

    def __init__(
        self, workers: Callable[[], list[WorkerInfo]], announce: Callable[[Sequence[WorkerInfo]], None] | None
    ) -> None:
        self._workers, self._announce = workers, announce
        self._lock = threading.Lock()
        self._told: list[WorkerInfo] = []

    def tell(self) -> None:
        """Tell the engine who works here, if that is not what it was told last; it is told again where that fails."""
        if self._announce is None:
            return
        with self._lock:
            workers = self._workers()
            if workers == self._told:
                return
            try:
                self._announce(workers)
                self._told = workers
            except OmegaRuntimeError:
                _log.exception("the engine could not be told who works for it")
