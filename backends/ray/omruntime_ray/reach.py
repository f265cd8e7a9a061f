"""How long is waited for Ray, and whether anything like it listens at an address."""

from __future__ import annotations

import os
import socket

from omruntime.errors import BackendUnavailable

__all__ = ["ACTING", "ANSWER_LIMIT", "CONCURRENCY", "START_LIMIT", "is_same", "knock"]

ACTING = 8
"""Threads of a host's actor that take calls and orders."""
CONCURRENCY = 1_000_000
"""Calls that wait in the office take nothing but memory."""
ANSWER_LIMIT = 10.0
"""Seconds within which an actor that lives answers."""
START_LIMIT = 120.0
"""Seconds that Ray may take to start an actor, where many start at a time."""
_PATIENCE = 10.0
# How a client of HTTP/2 begins, and so one of gRPC: its preface, and settings that change none.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
_SETTINGS = 4


def knock(host: str, port: int) -> None:
    """Return if somebody listens who may be Ray: it would itself wait for a minute, and then end the process.

    Raises:
        BackendUnavailable: nobody does; the message says what was found, and what to do.
    """
    try:
        with socket.create_connection((host, port), timeout=_PATIENCE) as line:
            if os.environ.get("RAY_USE_TLS") == "1":
                return
            line.settimeout(_PATIENCE)
            line.sendall(_PREFACE)
            frame = line.recv(9)
    except TimeoutError:
        why = f"nothing has answered within {_PATIENCE:.0f} s"
    except OSError as exc:
        why = exc.strerror or str(exc)
    else:
        if frame[3:4] == bytes([_SETTINGS]):
            return
        why = "whoever listens there is no Ray, or has TLS (then set RAY_USE_TLS=1 here too)"
    raise BackendUnavailable(
        f"no Ray can be reached at {host}:{port}: {why}; start one with 'ray start --head', or check the address "
        "(10001 is the port for ray://, 6379 the one for ray+gcs://)"
    ) from None


def is_same(one: tuple[str, int], other: tuple[str, int] | None) -> bool:
    """Tell whether two addresses are of one program: Ray knows itself by that of the machine, not by 127.0.0.1."""
    if other is None or one[1] != other[1]:
        return False
    hosts = {_resolved(one[0]), _resolved(other[0])}
    return len(hosts) == 1 or all(map(_is_here, hosts))


def _resolved(host: str) -> str:
    try:
        return socket.gethostbyname(host)
    except OSError:
        return host


def _is_here(host: str) -> bool:
    """Tell whether this machine has an address: nobody else's can be bound."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
