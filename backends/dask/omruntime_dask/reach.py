"""Whether a Dask scheduler answers at an address, and if not, why."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from typing import Any

from distributed import Security, __version__
from distributed.comm import connect

from omruntime.errors import BackendUnavailable, VersionMismatch

__all__ = ["PATIENCE", "no_tls", "reach"]

PATIENCE = 10.0
"""Seconds within which a scheduler must answer."""
_PAUSE = 0.1
_START = "start one with 'dask scheduler', or check the address"


def reach(address: str, security: Security, patience: float) -> None:
    """Return when a scheduler has answered.

    Args:
        address: of the scheduler, as Dask has it.
        security: how the connection is secured.
        patience: seconds for which nobody has to listen there yet.

    Raises:
        BackendUnavailable: none has; the message says what was found, and what to do.
        VersionMismatch: one has, and does not understand this version of Dask.
    """
    found: Future[str] = Future()
    # Of its own, since there may be a running loop in this one; and nobody can stop it from resolving a name.
    threading.Thread(
        target=_run, args=(address, security, patience, found), name="omruntime-reach", daemon=True
    ).start()
    try:
        wrong = found.result(PATIENCE + 1)
    except TimeoutError:
        wrong = f"nothing has answered within {PATIENCE:.0f} s; check the address, and the network in between"
    if wrong:
        raise BackendUnavailable(f"no Dask scheduler can be reached at {address}: {wrong}")


def _run(address: str, security: Security, patience: float, found: Future[str]) -> None:
    try:
        found.set_result(asyncio.run(_what_is_wrong(address, security, patience)))
    except Exception as exc:  # noqa: BLE001  (whoever waits for it gets it)
        found.set_exception(exc)


async def _what_is_wrong(address: str, security: Security, patience: float) -> str:
    scheme, _, place = address.partition("://")
    if scheme in ("tcp", "tls") and (wrong := await _nobody(place, patience)):
        return wrong
    try:
        kind = await asyncio.wait_for(_identify(address, security), PATIENCE)
    except VersionMismatch:
        raise
    except TimeoutError:
        return f"something listens there, and has not answered as one within {PATIENCE:.0f} s; check the port"
    except (ssl.SSLError, TypeError, RuntimeError) as exc:
        return f"TLS: {exc}; {no_tls()}"
    except Exception as exc:  # noqa: BLE001  (whatever a program that is none of Dask's makes of the bytes)
        return _no_answer(scheme, exc)
    return "" if kind == "Scheduler" else f"what answers there is a Dask {kind or 'program'}; {_START}"


async def _nobody(place: str, patience: float) -> str:
    """Return why nobody can be connected to; empty where somebody is there."""
    host, _, port = place.rpartition(":")
    deadline = time.monotonic() + patience
    while True:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), PATIENCE)
        except socket.gaierror as exc:
            return f"the name {host!r} is not known here ({exc.strerror}); check the address"
        except TimeoutError:
            return f"nothing has answered within {PATIENCE:.0f} s; check the address, and the network in between"
        except OSError as exc:
            if time.monotonic() >= deadline:
                return f"nobody listens there ({exc.strerror or exc}); {_START}"
            await asyncio.sleep(_PAUSE)
        else:
            writer.close()
            return ""


async def _identify(address: str, security: Security) -> str:
    """Return what kind of Dask's programs answers.

    Raises:
        VersionMismatch: a scheduler that does not understand what this version of Dask asks.
    """
    comm = await connect(address, timeout=PATIENCE, **security.get_connection_args("client"))
    try:
        if kind := (await _answer(comm, "identity", n_workers=0)).get("type"):
            return str(kind)
        # An older scheduler knows no such argument; a worker does not either.
        kind = str((await _answer(comm, "identity")).get("type", ""))
        if kind == "Scheduler":
            theirs = (await _answer(comm, "versions")).get("packages")
            raise VersionMismatch(_other_version(address, dict(theirs or {}).get("distributed", "another version")))
        return kind
    finally:
        comm.abort()


async def _answer(comm: Any, question: str, **more: object) -> dict[str, Any]:
    await comm.write({"op": question, "reply": True, **more})
    answer = await comm.read()
    return answer if isinstance(answer, dict) else {}


def _other_version(address: str, theirs: object) -> str:
    return (
        f"the Dask scheduler at {address} has distributed {theirs}, which does not understand {__version__}, which "
        "is here; install the same version of distributed on both sides"
    )


def _no_answer(scheme: str, error: Exception) -> str:
    """Return why whoever listens does not answer as a scheduler does."""
    if isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error):
        return f"TLS was refused: {error}; {no_tls()}"
    other = "if it has TLS, say tls://host:port" if scheme == "tcp" else "if it has no TLS, say tcp://host:port"
    return f"whoever listens there does not answer as one ({type(error).__name__}: {error}); check the port; {other}"


def no_tls() -> str:
    """Say how a connection is secured."""
    return (
        "certificates are given as security=distributed.Security(tls_ca_file=..., tls_client_cert=..., "
        "tls_client_key=..., require_encryption=True), or to commands by Dask's settings "
        "(DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__CLIENT__CERT, ...__CLIENT__KEY)"
    )
