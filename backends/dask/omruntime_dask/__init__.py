"""omruntime on Dask: its scheduler brings the calls, its own worker processes run them."""

from __future__ import annotations

from typing import Any

from omruntime import OmegaRuntime
from omruntime_dask.backend import DaskBackend
from omruntime_dask.connection import check_client

__all__ = ["OmegaRuntimeDask"]


class OmegaRuntimeDask(OmegaRuntime):
    """A runtime on a Dask cluster, or with a scheduler and a worker of its own where no address is given.

    Args:
        url: address of the scheduler: ``tcp://host:8786``, ``tls://``, ``dask://``; ``http://`` as omega|ml has it.
        client: a Dask client of the user's; it is used, and left as it was.
        **options: as in `OmegaRuntime`; and ``security``, a `distributed.Security`.

    Raises:
        BackendUnavailable: no scheduler answers at the address.
        TypeError: both an address and a client were given, or a client that has to be awaited.
        VersionMismatch: the scheduler does not understand this version of Dask.
    """

    backend = DaskBackend

    def __init__(self, url: str | None = None, *, client: Any = None, **options: Any) -> None:
        if client is not None:
            check_client(client)
            if url is not None:
                raise TypeError(
                    f"give an address or a client, not both: the client's scheduler is {client.scheduler.address}"
                )
            super().__init__(client.scheduler.address, client=client, **options)
            return
        if not (url or "").partition("://")[2] and options.get("security") is not None:
            raise TypeError(
                "security= is for a scheduler that you name: OmegaRuntimeDask('tls://host:8786', security=...); a "
                "private one makes keys of its own"
            )
        super().__init__(url, **options)
