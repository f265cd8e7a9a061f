"""Another engine than the embedded one, as a third party would write it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Self

from omruntime import OmegaRuntime
from omruntime.abc import Backend, Call, Capability, WorkerInfo
from omruntime.worker import Host

__all__ = ["OmegaRuntimeOther", "OtherBackend"]


class OtherBackend(Backend):
    name = "other"
    schemes = ("other",)
    capabilities = frozenset({Capability.CANCEL_RUNNING, Capability.TIME_LIMIT, Capability.NESTED_WAIT})

    def __init__(self, host: Host) -> None:
        self._host = host
        self.address = "other://"
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
        slots, can = workers or {"default": 1}, cls.capabilities
        return cls(Host(cls.name, slots, options["auth"], address="other://", tied=True, env=env, capabilities=can))

    def submit(self, call: Call) -> Future[bytes]:
        return self._host.submit(call.payload)

    def workers(self) -> list[WorkerInfo]:
        return self._host.workers()

    def cancel(self, id: str) -> bool:
        return self._host.cancel(id)

    def close(self) -> None:
        self._host.close()

    def close_now(self) -> None:
        self._host.close(wait=False)


class OmegaRuntimeOther(OmegaRuntime):
    backend = OtherBackend
