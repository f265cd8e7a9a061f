"""The loop of a runner: takes tasks from its host, one at a time, in its main thread."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO, cast

from omruntime.auth import Auth
from omruntime.errors import OmegaRuntimeError, SerializationError, SignatureError, StoreUnavailable
from omruntime.logins import take
from omruntime.wire import CallHeader, failure, peek_call, success, unpack_value
from omruntime.worker.actions import find_action
from omruntime.worker.channel import Channel
from omruntime.worker.context import CURRENT, TaskContext, TaskOmega
from omruntime.worker.life import tie_life_to
from omruntime.worker.link import HostLink, effect_rows
from omruntime.worker.sites import Site, Sites
from omruntime.worker.upstream import add_upstream

__all__ = ["OmegaOpener", "serve"]

OmegaOpener = Callable[[Site, str, Auth, HostLink], TaskOmega]
"""Makes the Omega of a task: store, bucket, keys, the way to the host."""

_NEVER_RETRIED = (SignatureError, SerializationError)


def serve(channel_fd: int, life_fd: int, open_omega: OmegaOpener) -> int:
    """Run tasks until the host says stop or is gone; return the exit code of the process."""
    tie_life_to(life_fd)
    os.set_inheritable(channel_fd, False)
    for stream in (sys.stdout, sys.stderr):
        # What was printed must have left the process when it dies.
        cast(TextIO, stream).reconfigure(line_buffering=True)  # type: ignore[attr-defined]
    channel = Channel(socket.socket(fileno=channel_fd))
    received = channel.receive()
    if received is None:
        return 0
    Runner(channel, received[0].data, open_omega).run()
    return 0


def _restore_streams() -> None:
    """Let go what was printed, and undo what a task did to the streams that it prints to."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        try:
            getattr(sys, name).flush()
        except (AttributeError, OSError, ValueError):
            # The task has closed it, or put something else in its place.
            pass
        original = getattr(sys, f"__{name}__")
        if original is None or original.closed:
            original = open(number, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, f"__{name}__", original)
        original.flush()
        setattr(sys, name, original)


class Runner:
    """One runner.

    Args:
        channel: the way to the host.
        config: what the host has to say first.
        open_omega: makes the Omega of a task.
    """

    def __init__(self, channel: Channel, config: dict[str, Any], open_omega: OmegaOpener) -> None:
        self._channel = channel
        self._auth = Auth(config["user"], config["key"])
        take(config["logins"])
        self._scratch = Path(config["scratch"])
        self._link = HostLink(channel, config)
        self._open_omega = open_omega
        self._sites = Sites()
        self._omegas: dict[tuple[str, str], TaskOmega] = {}
        self._afterwards: list[Callable[[], None]] = []
        # A task may point its standard output elsewhere: this one stays the pipe.
        self._output = os.dup(1)

    def run(self) -> None:
        """Take tasks until there are no more."""
        self._channel.send("ready", {})
        while (received := self._link.receive()) is not None:
            message, buffers = received
            if message.kind == "stop":
                break
            if message.kind == "task":
                self._link.task_begins()
                take(message.data.get("logins", {}))
                data, outcome = self._perform(message.data["attempt"], buffers)
                self._link.task_ends()
                _restore_streams()
                data["unread"] = self._has_unread_output()
                self._channel.send("outcome", data, [outcome])
                while self._afterwards:
                    self._afterwards.pop()()
        self._sites.close()
        os.close(self._output)

    def _has_unread_output(self) -> bool:
        """Tell whether the host has yet to read what was printed: asked here, where no other thread wants the GIL."""
        count = array.array("i", [0])
        fcntl.ioctl(self._output, termios.FIONREAD, count)
        return count[0] > 0

    def _perform(self, attempt: int, buffers: list[memoryview]) -> tuple[dict[str, Any], bytes]:
        """Run one task and return what to tell the host: the data of the message and the packed outcome."""
        header = peek_call(buffers)
        site = self._sites.get(header.store_id, header.store_url)
        context = TaskContext(
            header, attempt, site, self._omega(header, site), self._scratch, self._auth, self._link.keep
        )
        token = CURRENT.set(context)
        try:
            request = add_upstream(header, self._arguments(header, buffers, site), site, context.om, self._auth)
            value = find_action(header.kind, header.action)(context, request)
            outcome, blobs = success(
                value, task=header.id, attempt=attempt, store=site.store, auth=self._auth, arguments=header.parts
            )
            status, retryable = "SUCCESS", True
        except BaseException as exc:  # noqa: BLE001
            # SystemExit and KeyboardInterrupt of user code end the task, and not its runner.
            status, retryable = "FAILURE", not isinstance(exc, _NEVER_RETRIED)
            outcome, blobs = failure(
                exc, task=header.id, attempt=attempt, store=site.store, auth=self._auth, retryable=retryable
            )
        finally:
            CURRENT.reset(token)
            context.cleanup.close()
        effects = effect_rows(context.effects())
        self._afterwards += context.afterwards
        return {"status": status, "retryable": retryable, "blobs": blobs, "effects": effects}, outcome

    def _omega(self, header: CallHeader, site: Site) -> TaskOmega:
        key = (header.store_id, header.bucket)
        if key not in self._omegas:
            self._omegas[key] = self._open_omega(site, header.bucket, self._auth, self._link)
        return self._omegas[key]

    def _arguments(self, header: CallHeader, buffers: list[memoryview], site: Site) -> Any:
        try:
            return unpack_value(header.parts, buffers[1:], site.store)
        except OmegaRuntimeError:
            raise
        except FileNotFoundError as exc:
            raise StoreUnavailable(f"the arguments of {header.title} are gone from the store: {exc}") from exc
        except Exception as exc:
            # Loading an argument runs its own code: whatever that raises.
            raise SerializationError(
                f"an argument of {header.title} cannot be loaded in the worker: {type(exc).__name__}: {exc}; "
                "is what it needs installed there?"
            ) from exc
