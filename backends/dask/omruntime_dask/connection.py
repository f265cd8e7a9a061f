"""The connection to a scheduler: made in bounded time, and made again however long the scheduler was away."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from distributed import Client, Security
from distributed.client import ClosedClientError

from omruntime.errors import BackendUnavailable, RuntimeClosed, VersionMismatch
from omruntime_dask.reach import PATIENCE, no_tls, reach

__all__ = ["Connection", "check_client"]

_INTERVAL = 0.001
_LOGGED = 10
_PAUSE = 1.0
"""Seconds between two attempts to come back to a scheduler."""
_LOOK = 0.01


class Connection:
    """A Dask client of ours, or one that the user has made and keeps.

    Args:
        address: of the scheduler, as Dask has it.
        security: how the connection is secured; None leaves it to Dask's settings.
        given: the user's client, which is used as it is.

    Raises:
        BackendUnavailable: no scheduler answers at the address.
        VersionMismatch: its version of Dask and this one do not understand each other.

    Attributes:
        is_given: the client is the user's.
    """

    def __init__(self, address: str, security: Any = None, given: Client | None = None) -> None:
        self.address, self.security = address, _security(security)
        self.is_given = given is not None
        self._lock = threading.Lock()
        self._tried, self._closed = float("-inf"), False
        self._client: Any = given if given is not None else self._open(PATIENCE)

    @property
    def client(self) -> Any:
        """The client; a new one where the last has given up looking for its scheduler.

        Raises:
            BackendUnavailable: the scheduler is still away.
            ClosedClientError: the user has closed theirs.
        """
        client = self._client
        if self.is_given:
            if client.status == "closed":
                raise ClosedClientError
            return client
        if client.status == "closed":
            client = self._again()
        # Each connection of a client begins with 10 ms, for which it gathers what it sends.
        if (comm := client.scheduler_comm) is not None and comm.interval != _INTERVAL:
            comm.interval = _INTERVAL
            # It keeps the last 1,000 messages, each with the arguments of many calls.
            comm.recent_message_log = deque(maxlen=_LOGGED)
        return client

    @property
    def running(self) -> Any:
        """The client, when it has its scheduler; one that looks for it may take a while after it has come back.

        Raises:
            BackendUnavailable: the scheduler is away.
            ClosedClientError: the user has closed theirs.
        """
        if (client := self.client).status != "running":
            self.check()
            deadline = time.monotonic() + PATIENCE
            # Dask has no event for it.
            while (client := self.client).status != "running":
                if time.monotonic() > deadline:
                    raise BackendUnavailable(self._gone())
                time.sleep(_LOOK)
        return client

    def _gone(self) -> str:
        return f"the Dask scheduler at {self.address} is gone; what is recorded runs when it is back"

    def _again(self) -> Any:
        with self._lock:
            if self._closed:
                raise RuntimeClosed("this runtime is closed; make a new one and assign it: om.runtime = ...")
            if self._client.status == "closed":
                if time.monotonic() - self._tried < _PAUSE:
                    raise BackendUnavailable(self._gone())
                try:
                    self._client = self._open(0)
                finally:
                    self._tried = time.monotonic()
            return self._client

    def check(self) -> None:
        """Raise BackendUnavailable where the scheduler does not answer now."""
        reach(self.address, self.security, 0)

    def _open(self, patience: float) -> Any:
        reach(self.address, self.security, patience)
        try:
            return Client(
                self.address, security=self.security, set_as_default=False, name="omruntime", timeout=PATIENCE
            )
        except ImportError as exc:
            raise VersionMismatch(
                f"the Dask scheduler at {self.address} refuses this client: {exc}; install the same version of "
                "distributed on both sides"
            ) from exc
        except (OSError, TimeoutError, ValueError) as exc:
            raise BackendUnavailable(
                f"the Dask scheduler at {self.address} answers, but takes no client: {exc}; look into its log"
            ) from exc

    def finish(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do something in the event loop of the client, if that has its scheduler, and wait for it a while."""
        if self._client.status == "running":
            with suppress(TimeoutError):
                self._client.sync(act, callback_timeout=PATIENCE)

    def close(self, topic: str) -> None:
        """Disconnect; a client of the user's stays open, and listens no more to ``topic``, where that is named."""
        with self._lock:
            self._closed = True
        if not self.is_given:
            with _no_farewell():
                self._client.close()
        elif topic and self._client.status == "running":
            self._client.unsubscribe_topic(topic)


@contextmanager
def _no_farewell() -> Iterator[None]:
    """Keep Dask from logging, as an error, that a client was closed that looked for its scheduler."""
    logger = logging.getLogger("distributed.client")
    logger.addFilter(_is_no_farewell)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_farewell)


def _is_no_farewell(record: logging.LogRecord) -> bool:
    return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


def _security(given: Any) -> Security:
    if isinstance(given, Security):
        return given
    if given is None or isinstance(given, dict):
        return Security(**(given or {}))
    raise TypeError(f"security={given!r} is no distributed.Security; {no_tls()}")


def check_client(client: Any) -> None:
    """Refuse what cannot be used as a client.

    Raises:
        TypeError: it is no Dask client, or one that has to be awaited.
        BackendUnavailable: it is closed.
    """
    if not isinstance(client, Client):
        raise TypeError(
            f"client= takes a distributed.Client, not {type(client).__name__}; or give the scheduler's address: "
            "OmegaRuntimeDask('tcp://host:8786')"
        )
    if client._asynchronous:  # noqa: SLF001
        raise TypeError(
            "client= was given a Client(asynchronous=True), which lives in an event loop of yours, and omruntime "
            "would block that; give the scheduler's address, or a client without asynchronous=True"
        )
    if client.status == "closed" or client.scheduler is None:
        raise BackendUnavailable(
            "client= was given a client that is closed; make a new one: Client('tcp://host:8786')"
        )
