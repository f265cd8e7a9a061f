"""What a Ray answers before it is joined: Ray itself would wait for long, and say why on the user's terminal."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import grpc
import ray
from ray._private.grpc_utils import init_grpc_channel
from ray._private.services import resolve_ip_for_localhost
from ray.exceptions import AuthenticationError

from omruntime.errors import BackendUnavailable

__all__ = ["greet"]

_raylet: Any = getattr(ray, "_raylet")  # noqa: B009  (it has what tells whether there is a token)
_LIMIT = 10.0
_GCS = "/ray.rpc.NodeInfoGcsService/GetClusterId"
_CLIENTS = "/ray.rpc.RayletDriver/ClusterInfo"
_LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Set to 0, it has Ray listen on 127.0.0.1 alone, and look for others there."""


def greet(host: str, port: int, *, by_client: bool) -> None:
    """Return if the Ray at an address would let this process in.

    Args:
        host: where it listens.
        port: at which port.
        by_client: it has to be the server for Ray's clients, otherwise the one for drivers.

    Raises:
        BackendUnavailable: it would not; the message says why, and what to do.
    """
    try:
        channel: Any = init_grpc_channel(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except (OSError, RuntimeError) as exc:
        raise BackendUnavailable(f"RAY_USE_TLS is set, and its certificates cannot be used: {exc}") from exc
    try:
        code, details = _asked(channel, _CLIENTS if by_client else _GCS)
        refusal = _REFUSALS.get(code)
        if refusal is not None:
            raise BackendUnavailable(f"no Ray can be joined at {host}:{port}: {refusal(details, by_client)}")
    finally:
        channel.close()
    if not by_client:
        _check_reached_by_name(host, port)


def _asked(channel: Any, method: str) -> tuple[Any, str]:
    try:
        channel.unary_unary(method)(b"", timeout=_LIMIT)
    except AuthenticationError:
        return grpc.StatusCode.UNAUTHENTICATED, ""
    except grpc.RpcError as exc:
        answer: Any = exc
        return answer.code(), answer.details() or ""
    return grpc.StatusCode.OK, ""


def _no_token(details: str, by_client: bool) -> str:
    there = _raylet.AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True)
    if os.environ.get("RAY_AUTH_MODE") != "token":
        what = "it wants a token, and RAY_AUTH_MODE=token is not set here"
    elif there:
        what = "it wants another token than the one that is here"
    else:
        what = "RAY_AUTH_MODE=token is set here, and there is no token"
    return (
        f"{what}; 'ray get-auth-token' prints the one of whoever has started the cluster, and RAY_AUTH_TOKEN_PATH, "
        "RAY_AUTH_TOKEN or ~/.ray/auth_token gives it to this program"
    )


def _other_port(details: str, by_client: bool) -> str:
    if by_client:
        return "that is not the server for Ray's clients (10001); say ray+gcs:// for the port of the cluster itself"
    return "that is not the port of the cluster itself (6379); say ray:// for the server for Ray's clients"


def _no_way(details: str, by_client: bool) -> str:
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return f"{details}; RAY_USE_TLS is set here: it has to be on both sides, with certificates of one authority"
    return f"{details}; look into the logs of Ray's head"


def _no_answer(details: str, by_client: bool) -> str:
    return f"whoever listens there has not answered within {_LIMIT:.0f} s; look into the logs of Ray's head"


_REFUSALS: dict[Any, Callable[[str, bool], str]] = {
    grpc.StatusCode.UNAUTHENTICATED: _no_token,
    grpc.StatusCode.UNIMPLEMENTED: _other_port,
    grpc.StatusCode.UNAVAILABLE: _no_way,
    grpc.StatusCode.DEADLINE_EXCEEDED: _no_answer,
}


def _check_reached_by_name(host: str, port: int) -> None:
    """A driver goes to the machine's address where it was told 127.0.0.1."""
    really = resolve_ip_for_localhost(host)
    if really == host:
        return
    try:
        socket.create_connection((really, port), timeout=_LIMIT).close()
    except OSError as exc:
        raise BackendUnavailable(
            f"the Ray at {host}:{port} listens there alone, and a driver would look for it at {really}: set "
            f"{_LOOPBACK_ONLY}=0 for this program too, as it was for 'ray start'"
        ) from exc
