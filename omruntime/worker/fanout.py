"""A parallel backend of joblib whose batches are tasks of their own, on the workers of the engine.

Imported only where joblib is there.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeAlias

import cloudpickle
from joblib.parallel import ParallelBackendBase, SequentialBackend

from omruntime.abc import Store
from omruntime.errors import UnsupportedCapability
from omruntime.wire import Part, pack_value, unpack_value
from omruntime.worker.context import TaskContext, TaskHandle

__all__ = ["FanOut", "run_batch"]

_Packed: TypeAlias = tuple[list[Part], list[bytes]]
"""A value as its parts, and those of its buffers that are not in the store."""

_held: tuple[list[list[bytes]], list[Any]] = ([], [])
"""What the batches of the last call had in common, by digest: kept, so that it is loaded once in each worker."""


class FanOut(ParallelBackendBase):  # type: ignore[misc]
    """Runs the batches of one parallel call as tasks, with the label of the task that makes the call.

    Args:
        context: that task.
        shared: what many batches refer to; it is stored once, and loaded once by each worker.
    """

    supports_retrieve_callback = True

    def __init__(self, context: TaskContext, shared: Sequence[Any]) -> None:
        super().__init__(nesting_level=0)
        self._context = context
        self._shared = list(shared)
        self._stored: list[_Packed] = []
        self._runtime = context.om.runtime.require(context.header.label)
        self._running: dict[Future[Any], TaskHandle] = {}

    def __enter__(self) -> FanOut:
        task, attempt = self._context.header.id, self._context.attempt
        for number, value in enumerate(self._shared):
            # Another attempt has names of its own: this one may not be as dead as it seems.
            side = f"s{attempt}x{number}"
            parts, inline = pack_value(value, self._context.site.store, task, side, "the data")
            self._stored.append((parts, [bytes(buffer) for buffer in inline]))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._context.site.store.delete_blobs({part.blob for parts, _ in self._stored for part in parts if part.blob})

    # -- what joblib calls ---------------------------------------------------------------------------------------

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many batches can run at a time: the workers of the label, unless fewer are asked for."""
        wanted = set(self._context.header.label.split(",")) - {"local"}
        there = sum(each.slots for each in self._runtime.workers() if wanted <= set(each.labels))
        return max(1, n_jobs if n_jobs is not None and n_jobs > 0 else there)

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], None] | None = None) -> Future[Any]:
        """Send a batch, and return a future of what it returns."""
        request = {"batch": self._pickled(func), "shared": self._stored}
        handle = self._runtime.act("batch", request, self._context.header.name)
        future: Future[Any] = handle.future()
        self._running[future] = handle
        future.add_done_callback(lambda done: self._running.pop(done, None))
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return what a batch returned, or raise what it raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel all batches that have not ended."""
        for handle in list(self._running.values()):
            try:
                handle.cancel()
            except UnsupportedCapability:
                # It runs, and the engine cannot stop it: nobody waits for it any more.
                continue

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """Have a batch run what is parallel inside of it one after the other: its worker has one place."""
        return SequentialBackend(nesting_level=1), None

    def _pickled(self, func: Callable[[], Any]) -> bytes:
        stream = io.BytesIO()
        _Pickler(stream, self._shared).dump(func)
        return stream.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles references to what is shared instead of what is shared."""

    def __init__(self, stream: io.BytesIO, shared: Sequence[Any]) -> None:
        super().__init__(stream, protocol=5)
        self._numbers = {id(value): number for number, value in enumerate(shared)}

    def persistent_id(self, obj: Any) -> int | None:
        return self._numbers.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, shared: Sequence[Any]) -> None:
        super().__init__(stream)
        self._shared = shared

    def persistent_load(self, pid: Any) -> Any:
        return self._shared[pid]


def run_batch(batch: bytes, shared: Sequence[_Packed], store: Store) -> Any:
    """Run a batch and return what it returns.

    Raises:
        SignatureError: what it shares with others was altered.
        FileNotFoundError: it is gone, since the call that the batch belongs to is over.
    """
    return _Unpickler(io.BytesIO(batch), _loaded(shared, store)).load()()


def _loaded(shared: Sequence[_Packed], store: Store) -> list[Any]:
    global _held
    digests = [[part.digest for part in parts] for parts, _ in shared]
    if _held[0] != digests:
        _held = digests, [unpack_value(parts, inline, store) for parts, inline in shared]
    return _held[1]
