"""The embedded engine as a backend: the client's process is the host."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Self

from omruntime.abc import Backend, Call, Capability, Group, WorkerInfo
from omruntime.auth import Auth, default_auth
from omruntime.masking import mask
from omruntime.wire import CallHeader
from omruntime.worker import Host

__all__ = ["LocalBackend"]


class LocalBackend(Backend):
    """Runs calls in child processes of this one."""

    name = "local"
    schemes = ("local",)
    capabilities = frozenset({Capability.CANCEL_RUNNING, Capability.TIME_LIMIT, Capability.NESTED_WAIT})

    def __init__(self, host: Host) -> None:
        self._host = host
        self.address = f"local://{host.id}"
        self.lease = host.id

    @classmethod
    def open(
        cls,
        url: str,
        *,
        workers: Mapping[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Self:
        """Start the runners.

        Raises:
            ValueError: the URL names an address, which this engine has none of.
            BackendUnavailable: a runner cannot be started.
        """
        auth: Auth = options.pop("auth", None) or default_auth()
        if options:
            raise TypeError(f"local:// takes no {', '.join(sorted(options))}; it takes workers=, env= and auth=")
        if url.partition("://")[2].strip("/"):
            raise ValueError(
                f"{mask(url)!r}: local:// has no address, its workers are on this machine; say 'local://'"
            )
        host = Host(
            "local",
            workers or {"default": os.cpu_count() or 1},
            auth,
            address="local://",
            tied=True,
            env=env,
            capabilities=cls.capabilities,
            implied=frozenset({"local"}),
        )
        return cls(host)

    def submit(self, call: Call) -> Future[bytes]:
        """Run a call in the next free runner of its labels."""
        return self._host.submit(call.payload)

    def submit_own(self, call: Call, header: CallHeader, request: Group) -> Future[bytes]:
        """Run a call that this process has just made and signed, and record its request on the way.

        Raises:
            RuntimeClosed: it takes no more calls; nothing was recorded.
        """
        return self._host.submit_own(call.payload, header, request)

    def submit_canvas(self, id: str, calls: Sequence[Call]) -> Future[bytes]:
        """Run the first steps of a canvas; the future brings the outcome of the whole."""
        return self._host.submit_canvas(id, calls)

    def workers(self) -> list[WorkerInfo]:
        """List the workers."""
        return self._host.workers()

    def scale(self, workers: Mapping[str, int]) -> None:
        """Have as many workers of each label set as it says; raises as `Backend.scale` does."""
        self._host.scale(workers)

    def cancel(self, id: str) -> bool:
        """Stop a task that was cancelled."""
        return self._host.cancel(id)

    def close(self) -> None:
        """Wait for open tasks and end the runners."""
        self._host.close()

    def close_now(self) -> None:
        """End open tasks as revoked, and the runners."""
        self._host.close(wait=False)
