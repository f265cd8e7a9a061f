"""Private engines: an engine of its client's own, with a worker process that ends with the client."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self

from omruntime.abc import Backend, Call, Capability, WorkerInfo, label_set
from omruntime.abc.carrying import refusal
from omruntime.auth import KEY_VARIABLE, Auth
from omruntime.errors import BackendUnavailable
from omruntime.logins import known, parted
from omruntime.masking import mask
from omruntime.worker.channel import Channel
from omruntime.worker.life import Lifeline

__all__ = ["PrivateWorker", "open_backend", "private_url"]

_MODULE = "omruntime.worker.serving"
_START_LIMIT = 60.0
_LOOK = 0.01


class PrivateWorker:
    """A process that works for a private engine, with a host of its own, and ends with this process.

    It opens the engine by its URL, as clients do, and does what `Backend.work` says. Keys and logins of stores come
    to it by a pipe.

    Args:
        url: address of the engine.
        workers: slots per label set.
        auth: the keys.
        env: environment variables for it and its tasks.

    Attributes:
        host: id of its host, the `Backend.lease` of the engine.

    Raises:
        BackendUnavailable: it cannot be started.
    """

    def __init__(
        self, url: str, workers: Mapping[str, int], auth: Auth, env: Mapping[str, str] | None = None
    ) -> None:
        environment, logins = parted({**os.environ, **(env or {})})
        self._url = url
        self._asking, self._freeing = threading.Lock(), threading.Lock()
        self._closed = False
        ours, theirs = socket.socketpair()
        self._channel, self._life = Channel(ours), Lifeline()
        environment.pop(KEY_VARIABLE, None)
        command = [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno()), str(self._life.theirs)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._life.theirs),
                start_new_session=True,
                env=environment,
            )
        except BaseException:
            self._free()
            raise
        finally:
            self._life.handed_over()
            theirs.close()
        try:
            keys = {"user": auth.user, "key": auth.secret(), "logins": logins}
            self.host: str = self._ask("config", {"url": url, "workers": dict(workers), **keys})["host"]
        except BaseException:
            self.close(wait=False)
            raise

    def _ask(self, order: str, data: dict[str, Any]) -> dict[str, Any]:
        with self._asking:
            try:
                self._channel.send(order, data)
                received = self._channel.receive()
            except OSError:
                received = None
        if received is None:
            raise BackendUnavailable(
                f"the worker process of {self._url} has ended; what it said is in this program's error output"
            )
        message = received[0]
        if message.kind == "failed":
            raise refusal(message.data["kind"], message.data["error"])
        return message.data

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have as many slots of each label set as it says; other label sets stay as they are.

        Raises:
            BackendUnavailable: a runner cannot be started, or the worker process is gone.
        """
        self._ask("scale", dict(workers))

    def look_after(self, store_url: str) -> None:
        """Have its host take its lease in a store.

        Raises:
            StoreUnavailable: it cannot open the store.
            BackendUnavailable: the worker process is gone.
        """
        self._ask("store", {"url": store_url, "logins": known(store_url)})

    def close(self, wait: bool = True, expects: Sequence[str] = ()) -> None:
        """End it, when its open tasks are over, or with ``wait`` false at once: they end as revoked.

        Args:
            wait: for the open tasks.
            expects: ids of tasks that may still be on their way to it through the engine.
        """
        if self._closed:
            return
        try:
            self._channel.send("close", {"wait": wait, "expects": list(expects)})
        except OSError:
            # It is gone already.
            pass
        self._process.wait()
        self._free()

    def _free(self) -> None:
        with self._freeing:
            if not self._closed:
                self._closed = True
                self._channel.close()
                self._life.close()


class _PrivateBackend(Backend):
    """An engine whose only worker is one of our own, as its client sees it."""

    schemes = ()
    capabilities = frozenset(Capability)

    def __init__(
        self,
        kind: type[Backend],
        starting: AbstractContextManager[str],
        workers: Mapping[str, int],
        env: Mapping[str, str] | None,
        auth: Auth,
        options: Mapping[str, Any],
    ) -> None:
        self._stores: set[str] = set()
        self._open: dict[Future[bytes], list[str]] = {}
        with ExitStack() as stack:
            url = stack.enter_context(starting)
            self._worker = PrivateWorker(url, workers, auth, env)
            stack.callback(self._worker.close, wait=False)
            self._engine = kind.open(url, auth=auth, **options)
            stack.callback(self._engine.close)
            self._wait_for_workers(self._engine.workers, f"the worker process of {mask(url)}")
            self._stack = stack.pop_all()
        self.name, self.address, self.lease = self._engine.name, self._engine.address, self._worker.host  # type: ignore[misc]
        self.mailbox = self._engine.mailbox
        self.capabilities = self._engine.capabilities - {Capability.DETACHED}

    def _wait_for_workers(self, there: Callable[[], object], who: str) -> None:
        deadline = time.monotonic() + _START_LIMIT
        while not there():
            if time.monotonic() >= deadline:
                raise BackendUnavailable(
                    f"{who} has not said within {_START_LIMIT:.0f} s that it works; what it said is in this "
                    "program's error output"
                )
            time.sleep(_LOOK)

    @classmethod
    def open(cls, url: str, **options: Any) -> Self:
        raise TypeError("a private engine is opened by open_backend()")

    def submit(self, call: Call) -> Future[bytes]:
        return self._noted(self._engine.submit(call), [call])

    def submit_many(self, calls: Sequence[Call]) -> list[Future[bytes]]:
        futures = self._engine.submit_many(calls)
        return [self._noted(future, [call]) for future, call in zip(futures, calls, strict=True)]

    def submit_canvas(self, id: str, calls: Sequence[Call]) -> Future[bytes] | None:
        future = self._engine.submit_canvas(id, calls)
        return None if future is None else self._noted(future, calls)

    def _noted(self, future: Future[bytes], calls: Sequence[Call]) -> Future[bytes]:
        """Note which calls may be on their way, as long as nobody says that they are over."""
        self._open[future] = [call.id for call in calls]
        future.add_done_callback(lambda done: self._open.pop(done, None))
        return future

    def expect_store(self, url: str) -> None:
        if url not in self._stores:
            self._worker.look_after(url)
            self._stores.add(url)

    def workers(self) -> list[WorkerInfo]:
        return self._engine.workers()

    def cancel(self, id: str) -> bool:
        return self._engine.cancel(id)

    def scale(self, workers: Mapping[str, int]) -> None:
        self._worker.scale(workers)
        self._wait_for_workers(lambda: self._has(workers), f"one of {dict(workers)} at {self.address}")

    def _has(self, workers: Mapping[str, int]) -> bool:
        """Tell whether the engine lists as many as that, whose word may come later than that of their process."""
        wanted: Counter[frozenset[str]] = Counter()
        for label, count in workers.items():
            wanted[label_set(label)] += count
        return wanted <= Counter(frozenset(each.labels) for each in self._engine.workers())

    def incarnation(self) -> str:
        return self._engine.incarnation()

    def close(self) -> None:
        self._end(wait=True)

    def close_now(self) -> None:
        self._end(wait=False)

    def _end(self, wait: bool) -> None:
        self._worker.close(wait, [task for tasks in list(self._open.values()) for task in tasks])
        self._stack.close()


def private_url(kind: type[Backend]) -> str:
    """Return the URL that asks for a private engine: the scheme alone."""
    return f"{kind.schemes[0]}://"


def open_backend(
    kind: type[Backend],
    url: str,
    *,
    workers: Mapping[str, int] | None,
    env: Mapping[str, str] | None,
    auth: Auth,
    **options: Any,
) -> Backend:
    """Open an engine at its address, or a private one where the URL names none.

    Raises:
        BackendUnavailable: nothing answers at the address, or the private engine cannot be started.
        TypeError: workers were asked for where somebody else starts them, or an option is unknown.
    """
    starting = kind.private()
    if starting is None:
        return kind.open(url, workers=workers, env=env, auth=auth, **options)
    if url == private_url(kind):
        slots = workers or {"default": os.cpu_count() or 1}
        return _PrivateBackend(kind, starting, slots, env, auth, options)
    if workers or env:
        raise TypeError(
            f"{mask(url)} takes no workers= and no env=, since its workers are started by somebody else; "
            "start some with: omruntime worker --runtime URL --label gpu --concurrency 2"
        )
    return kind.open(url, auth=auth, **options)
