"""A worker process: a host for one engine, as ``omruntime worker`` and private engines start it.

Run as a program it is the worker of a private engine: it is told by the channel whose number is the first argument
what to do, and its life is tied to the pipe whose number is the second.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from omruntime.abc import Backend
from omruntime.auth import Auth
from omruntime.errors import BackendUnavailable, OmegaRuntimeError
from omruntime.logins import take
from omruntime.plugins import load_backend_class, scheme_of
from omruntime.worker.channel import Channel
from omruntime.worker.host import Host
from omruntime.worker.life import tie_life_to

__all__ = ["serve"]

_log = logging.getLogger("omruntime.worker")
_PAUSE = 1.0
"""Seconds before an engine that is gone is looked for again."""
_ON_THE_WAY = 10.0
"""Seconds for which calls are waited for that were sent to a private worker and have not come."""
_LOOK = 0.01
_LASTING = 60.0
"""Seconds of work after which another loss of the engine is news, though it reads like the last."""


def serve(backend: Backend, host: Host, stop: threading.Event) -> None:
    """Work for an engine until ``stop`` is set; where the engine goes away, wait for it to come back.

    Raises:
        UnsupportedCapability: the engine's workers are started in another way.
    """
    said = ""
    while not stop.is_set():
        begun = time.monotonic()
        try:
            backend.work(host, stop)
        except BackendUnavailable as exc:
            if str(exc) != said or time.monotonic() - begun > _LASTING:
                said = str(exc)
                _log.warning("%s; this worker waits for the engine to come back", exc)
            stop.wait(_PAUSE)


class _Private:
    """The worker of a private engine."""

    def __init__(self, channel: Channel, config: dict[str, Any]) -> None:
        auth, url = Auth(config["user"], config["key"]), config["url"]
        self._channel, self._stop, self._waits, self._closing = channel, threading.Event(), True, False
        take(config["logins"])
        self._backend: Backend = load_backend_class(scheme_of(url)).open(url, auth=auth)
        try:
            self._host = Host.of(self._backend, config["workers"], auth, tied=True)
        except BaseException:
            self._backend.close()
            raise
        channel.send("ready", {"host": self._host.id})

    def run(self) -> None:
        """Work until the client says that it is enough, or is gone."""
        threading.Thread(target=self._listen, name="omruntime-orders", daemon=True).start()
        serve(self._backend, self._host, self._stop)
        self._host.close(self._waits)
        self._backend.close()

    def _listen(self) -> None:
        while (received := self._channel.receive()) is not None:
            order, data = received[0].kind, received[0].data
            if order == "scale":
                self._carry_out(self._host.scale, data)
            elif order == "store":
                take(data["logins"])
                self._carry_out(self._host.look_after, data["url"])
            elif order == "close":
                self._close(data["wait"], data["expects"])

    def _carry_out(self, order: Callable[[Any], None], given: Any) -> None:
        try:
            order(given)
        except OmegaRuntimeError as exc:
            _tell_failure(self._channel, exc)
        else:
            self._channel.send("done", {})

    def _close(self, wait: bool, expects: list[str]) -> None:
        again, self._closing, self._waits = self._closing, True, wait
        if again or not wait:
            self._stop.set()
            if again:
                # The one that waits for open tasks shall not.
                self._host.close(wait)
            return
        ending = threading.Thread(target=self._stop_when_here, args=(expects,), name="omruntime-ending", daemon=True)
        ending.start()

    def _stop_when_here(self, expects: list[str]) -> None:
        """Take no more calls, once those have come that the client has sent before it said so."""
        deadline = time.monotonic() + _ON_THE_WAY
        while self._host.missing(expects) and time.monotonic() < deadline and not self._stop.wait(_LOOK):
            pass
        self._stop.set()


def main() -> None:
    """Be the worker of a private engine."""
    tie_life_to(int(sys.argv[2]))
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    received = channel.receive()
    if received is None:
        return
    try:
        worker = _Private(channel, received[0].data)
    except OmegaRuntimeError as exc:
        _tell_failure(channel, exc)
        return
    worker.run()


def _tell_failure(channel: Channel, error: OmegaRuntimeError) -> None:
    channel.send("failed", {"kind": type(error).__name__, "error": str(error)})


if __name__ == "__main__":
    main()
